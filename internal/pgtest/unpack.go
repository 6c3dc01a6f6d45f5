package pgtest

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// unpack extracts the programs, libraries and data files of an npm archive into a new directory and restores the links that
// npm cannot carry. Everything becomes readable for all, and programs and libraries executable.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		name, ok := strings.CutPrefix(h.Name, "package/")
		if !ok || h.Typeflag != tar.TypeReg || !wanted(name) {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: unsafe name %q", archive, h.Name)
		}
		if err := writeFile(filepath.Join(dir, name), tr); err != nil {
			return err
		}
	}
	return restoreLinks(dir)
}

// wanted leaves out what only compiling against the server needs.
func wanted(name string) bool {
	return strings.HasPrefix(name, "native/") && !strings.HasPrefix(name, "native/include/") &&
		!strings.Contains(name, "/pgxs/") && !strings.HasSuffix(name, ".a")
}

func writeFile(path string, content io.Reader) error {
	if err := mkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if strings.Contains(path, "/bin/") || strings.Contains(filepath.Base(path), ".so") {
		mode = 0o755
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := f.Chmod(mode); err != nil { // whatever the umask is
		f.Close()
		return err
	}
	return f.Close()
}

// restoreLinks makes the links listed in pg-symlinks.json. They are relative, so that the tree can be renamed.
func restoreLinks(dir string) error {
	list := filepath.Join(dir, "native", "pg-symlinks.json")
	data, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(data, &links); err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("%s: unsafe link from %q to %q", list, l.Target, l.Source)
		}
		rel, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, l.Target)
		if err := mkdirAll(filepath.Dir(path)); err != nil {
			return err
		}
		if err := os.Symlink(rel, path); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// mkdirAll makes directories that all may enter, whatever the umask is.
func mkdirAll(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := mkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Chmod(dir, 0o755)
}
