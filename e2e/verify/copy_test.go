//go:build linux

package verify

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// backup is a copy of one of the backups, to be changed.
type backup struct {
	t   *testing.T
	dir string
}

// cloneOf makes a copy whose files are links until they are changed.
func cloneOf(t *testing.T, source string) *backup {
	t.Helper()
	parent, err := os.MkdirTemp(filepath.Dir(plainBackup), "copy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				os.Chmod(path, 0o700)
			}
			return nil
		})
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	b := &backup{t, filepath.Join(parent, "backup")}
	b.cloneDir(source, b.dir)
	b.must(os.Chmod(parent, 0o755))
	return b
}

func (b *backup) cloneDir(from, to string) {
	b.t.Helper()
	b.must(filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		switch d.Type() {
		case fs.ModeDir:
			// No test changes these two.
			if name := strings.TrimPrefix(path, from); name == "/base/4" || name == "/base/5" {
				if err := os.Symlink(path, target); err != nil {
					return err
				}
				return fs.SkipDir
			}
			return os.Mkdir(target, 0o700)
		case fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		}
		return os.Link(path, target)
	}))
}

func (b *backup) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *backup) path(name string) string { return filepath.Join(b.dir, name) }

func (b *backup) read(name string) []byte {
	b.t.Helper()
	content, err := os.ReadFile(b.path(name))
	b.must(err)
	return content
}

// write replaces a file, or makes it.
func (b *backup) write(name string, content []byte) {
	b.t.Helper()
	b.remove(name)
	b.must(os.WriteFile(b.path(name), content, 0o600))
}

func (b *backup) remove(name string) {
	b.t.Helper()
	b.must(os.RemoveAll(b.path(name)))
}

func (b *backup) mkdir(name string) {
	b.t.Helper()
	b.must(os.Mkdir(b.path(name), 0o700))
}

func (b *backup) link(target, name string) {
	b.t.Helper()
	b.must(os.Symlink(target, b.path(name)))
}

// flip changes one bit of the byte at an offset; from the end if it is negative.
func (b *backup) flip(name string, offset int) {
	b.t.Helper()
	content := b.read(name)
	if offset < 0 {
		offset += len(content)
	}
	content[offset] ^= 4
	b.write(name, content)
}

// own gives everything to the user that has no other rights.
func (b *backup) own() {
	b.t.Helper()
	b.must(filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			name := strings.TrimPrefix(path, b.dir)
			b.write(name, b.read(name))
		}
		return os.Lchown(path, nobody, nobody)
	}))
}

// chmod changes a mode; own comes first.
func (b *backup) chmod(name string, mode fs.FileMode) {
	b.t.Helper()
	b.must(os.Chmod(b.path(name), mode))
}

// manifest changes the text of the manifest, whose checksum follows.
func (b *backup) manifest(change func(string) string) {
	b.t.Helper()
	text := string(b.read("backup_manifest"))
	text = text[:strings.LastIndex(text, "\"Manifest-Checksum\"")]
	b.write("backup_manifest", seal(change(text)))
}

// seal adds the checksum and the end to a manifest.
func seal(text string) []byte {
	return fmt.Appendf(nil, "%s\"Manifest-Checksum\": \"%x\"}\n", text, sha256.Sum256([]byte(text)))
}

// replace is a change of the manifest: the first occurrence of a text.
func (b *backup) replace(old, new string) {
	b.t.Helper()
	b.manifest(func(text string) string {
		if !strings.Contains(text, old) {
			b.t.Fatalf("the manifest has no %q", old)
		}
		return strings.Replace(text, old, new, 1)
	})
}

// entry is the line of a file in the manifest.
func (b *backup) entry(name string) string {
	b.t.Helper()
	for line := range strings.Lines(string(b.read("backup_manifest"))) {
		if strings.Contains(line, "\""+name+"\"") {
			return strings.TrimSuffix(line, "\n")
		}
	}
	b.t.Fatalf("%s is not in the manifest", name)
	return ""
}

// glob is the first path, relative to the backup, that fits a pattern.
func (b *backup) glob(pattern string) string {
	b.t.Helper()
	names, err := filepath.Glob(b.path(pattern))
	b.must(err)
	if len(names) == 0 {
		b.t.Fatalf("there is no %s", pattern)
	}
	rel, err := filepath.Rel(b.dir, names[0])
	b.must(err)
	return rel
}
