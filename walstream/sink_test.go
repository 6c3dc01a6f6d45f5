package walstream_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/walstream"
	"github.com/pgbasin/pgbasin/walstream/sinktest"
)

func TestDirectoryForBackupsIsASink(t *testing.T) {
	for name, o := range map[string]walstream.DirectoryOptions{"synced": {}, "not synced": {NoSync: true}, "zero-filled": {ZeroFill: true}} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture { return directoryFixture(t, o) })
		})
	}
}

func TestDirectoryForArchivesIsASink(t *testing.T) {
	for name, o := range map[string]walstream.DirectoryOptions{"synced": {}, "not synced": {NoSync: true}, "zero-filled": {ZeroFill: true}} {
		t.Run(name, func(t *testing.T) {
			o.Partial = true
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture { return directoryFixture(t, o) })
		})
	}
}

func TestTarIsASink(t *testing.T) {
	t.Run("synced", func(t *testing.T) {
		sinktest.Run(t, func(t *testing.T) sinktest.Fixture { return tarFixture(t, true) })
	})
	t.Run("not synced", func(t *testing.T) {
		sinktest.Run(t, func(t *testing.T) sinktest.Fixture { return tarFixture(t, false) })
	})
}

func directoryFixture(t *testing.T, o walstream.DirectoryOptions) sinktest.Fixture {
	o.Path = t.TempDir()
	d := walstream.NewDirectory(o)
	f := sinktest.Fixture{Sink: d, Durable: !o.NoSync, Resumes: true}
	if o.Partial {
		f.Partial = walstream.PartialSuffix
	}
	f.Files = func(t *testing.T) map[string][]byte {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		return readTree(t, o.Path)
	}
	return f
}

func tarFixture(t *testing.T, synced bool) sinktest.Fixture {
	path := filepath.Join(t.TempDir(), "pg_wal.tar")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tarstream.NewWriter(out)
	o := walstream.TarOptions{Prefix: "pg_wal/"}
	if synced {
		o.Sync = out.Sync
	}
	return sinktest.Fixture{
		Sink:    walstream.NewTar(w, o),
		Durable: synced,
		Files: func(t *testing.T) map[string][]byte {
			if err := errors.Join(w.Close(), out.Close()); err != nil {
				t.Error(err)
			}
			archive, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return readTar(t, archive, "pg_wal/")
		},
	}
}

// readTree is the content of the files below a directory, by slash-separated
// name.
func readTree(t testing.TB, root string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = content
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readTar is the content of an archive's members, by name without the prefix
// that they must all have.
func readTar(t testing.TB, archive []byte, prefix string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, prefix)
		if _, twice := files[name]; !ok || twice {
			t.Errorf("member %q: not below %q, or there twice", h.Name, prefix)
		}
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	segmentName = "000000010000000000000001"
	segmentSize = 1 << 20
)

func TestBackupDirectoryTouchesNoSegmentThatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, segmentName)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir})
	defer d.Close()
	err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize})
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("opening a segment that exists: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("the file holds %q", got)
	}
}

func TestArchiveTakesUpPartialSegments(t *testing.T) {
	whole := bytes.Repeat([]byte{7}, segmentSize)
	for name, c := range map[string]struct {
		there []byte
		err   string
	}{
		"empty":    {there: []byte{}},
		"too long": {there: make([]byte, segmentSize+1), err: "has 1048577 bytes, should be 0 or 1048576"},
		// Left by a process that was killed while it filled the file with zeroes.
		"too short": {there: make([]byte, 8192)},
		"whole":     {there: bytes.Repeat([]byte{9}, segmentSize)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			partial := filepath.Join(dir, segmentName+walstream.PartialSuffix)
			if err := os.WriteFile(partial, c.there, 0o600); err != nil {
				t.Fatal(err)
			}
			d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: true})
			defer d.Close()
			err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), partial) {
					t.Errorf("OpenSegment: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(whole); err != nil {
				t.Fatal(err)
			}
			if err := d.CloseSegment(); err != nil {
				t.Fatal(err)
			}
			if got := readTree(t, dir); len(got) != 1 || !bytes.Equal(got[segmentName], whole) {
				t.Errorf("the archive has %d files, %d bytes of the segment", len(got), len(got[segmentName]))
			}
		})
	}
}

func TestSegmentThatFoundNoRoomCanBeOpenedLater(t *testing.T) {
	for _, partial := range []bool{false, true} {
		dir := t.TempDir()
		d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: partial})
		defer d.Close()
		if err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: 1 << 60}); err == nil {
			t.Fatal("an exabyte was allocated")
		}
		for name, content := range readTree(t, dir) {
			if len(content) > 0 || !partial {
				t.Errorf("%s was left with %d bytes", name, len(content))
			}
		}
		if err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
			t.Error(err)
		}
	}
}

func TestDirectoryGivesFilesTheirModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	dir := t.TempDir()
	d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, FileMode: 0o640, DirMode: 0o750})
	defer d.Close()
	if err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
		t.Fatal(err)
	}
	if err := d.CloseSegment(); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("archive_status/x.done", nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{segmentName: 0o640, "archive_status": 0o750, "archive_status/x.done": 0o640} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestTarStoresNoFileTwice(t *testing.T) {
	s := walstream.NewTar(tarstream.NewWriter(io.Discard), walstream.TarOptions{})
	if err := s.WriteFile("00000002.history", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFile("00000002.history", []byte("1")); err == nil {
		t.Error("a second member of the same name")
	}
}

func TestTarNamesTheSegmentThatCouldNotBeWritten(t *testing.T) {
	full := errors.New("no space left")
	s := walstream.NewTar(tarstream.NewWriter(&limited{4096, full}), walstream.TarOptions{})
	if err := s.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
		t.Fatal(err)
	}
	n, err := s.Write(make([]byte, 8192))
	if n != 4096-tarstream.BlockSize || !errors.Is(err, full) || !strings.Contains(err.Error(), segmentName) {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := s.CloseSegment(); !errors.Is(err, full) {
		t.Errorf("CloseSegment: %v", err)
	}
}

// limited takes n bytes.
type limited struct {
	n   int
	err error
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.n)
	l.n -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}
