package backupset_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// many is a backup with more directories than are held open.
func many() *backuptest.Backup {
	b := &backuptest.Backup{Start: 0x1000000, TLI: 1, Control: backuptest.Control{SystemID: 7}, Files: map[string][]byte{},
		WAL: map[string][]byte{"000000010000000000000001": []byte("the log")}}
	for i := range 100 {
		b.Files[fmt.Sprintf("base/%d/%d", i%40, i)] = fmt.Appendf(nil, "content %d", i)
	}
	return b
}

// lister collects names and sizes.
type lister struct{ sizes map[string]int64 }

func (l *lister) Member(h *tarstream.Header) error {
	if h.Type == tarstream.Regular {
		l.sizes[h.Name] = h.Size
	}
	return nil
}

func (l *lister) Content([]byte) error { return errors.New("content") }
func (l *lister) EndMember() error     { return nil }

func TestFilesAreFoundInAnyOrderByManyGoroutines(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	b := many()
	b.Plain(dir)
	// The WAL is elsewhere.
	away := t.TempDir()
	if err := os.Rename(filepath.Join(dir, "pg_wal"), filepath.Join(away, "wal")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(away, "wal"), filepath.Join(dir, "pg_wal")); err != nil {
		t.Fatal(err)
	}
	set, err := backupset.Open(dir, backupset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := set.Files(set.Data())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	l := &lister{map[string]int64{}}
	if err := files.List(context.Background(), l); err != nil {
		t.Fatal(err)
	}
	if len(l.sizes) != len(b.Files)+4 || l.sizes["pg_wal/000000010000000000000001"] != 7 {
		t.Errorf("%d files: %v", len(l.sizes), l.sizes)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for name, size := range l.sizes {
				f, info, err := files.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				content, err := io.ReadAll(f)
				f.Close()
				if err != nil || int64(len(content)) != size || info.Size() != size || b.Files[name] != nil && !bytes.Equal(content, b.Files[name]) {
					t.Errorf("%s: %q, %v", name, content, err)
				}
				if has, err := files.Has(name); !has || err != nil {
					t.Errorf("%s: %v, %v", name, has, err)
				}
			}
		})
	}
	all.Wait()
}

func TestFilesThatAreNotThereOrNoneAreToldByTheirPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	many().Plain(dir)
	if err := os.Symlink("../1/1", filepath.Join(dir, "base/2/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "base/away")); err != nil {
		t.Fatal(err)
	}
	set, err := backupset.Open(dir, backupset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := set.Files(set.Data())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for _, name := range []string{"base/1/none", "base/none/1", "none", "pg_wal/none", "pg_tblspc/1/2/3"} {
		if _, _, err := files.Open(name); !errors.Is(err, fs.ErrNotExist) || !bytes.Contains([]byte(err.Error()), []byte(dir)) {
			t.Errorf("%s: %v", name, err)
		}
		if has, err := files.Has(name); has || err != nil {
			t.Errorf("%s: %v, %v", name, has, err)
		}
	}
	for _, name := range []string{"base/2/link", "base/1", "base/away/x", "../backup/PG_VERSION"} {
		if f, _, err := files.Open(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	tars := filepath.Join(t.TempDir(), "tars")
	many().Tar(tars, codec.Spec{})
	if set, err = backupset.Open(tars, backupset.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Files(set.Data()); err == nil {
		t.Error("tars have files")
	}
}

// locator reads the content of members from the file itself.
type locator struct {
	t    *testing.T
	f    *os.File
	at   int64
	seen int

	name string
	want bytes.Buffer
}

func (l *locator) ContentAt(offset int64) { l.at = offset }

func (l *locator) Member(h *tarstream.Header) error {
	l.name = h.Name
	l.want.Reset()
	return nil
}

func (l *locator) Content(p []byte) error {
	l.want.Write(p)
	return nil
}

func (l *locator) EndMember() error {
	got := make([]byte, l.want.Len())
	if _, err := l.f.ReadAt(got, l.at); err != nil || !bytes.Equal(got, l.want.Bytes()) {
		l.t.Errorf("%s is not at %d: %v", l.name, l.at, err)
	}
	l.seen++
	return nil
}

func TestALocatorIsToldWhereContentsAreInATar(t *testing.T) {
	dir := t.TempDir()
	many().Tar(filepath.Join(dir, "server"), codec.Spec{})
	// Made by hand, with names that need more than one header block.
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"data/PG_VERSION", "data/base/5/" + string(bytes.Repeat([]byte("long"), 60)), "data/global/pg_control"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1000, Format: tar.FormatPAX}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte{name[len(name)-1]}, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	hand := filepath.Join(dir, "hand.tar")
	if err := os.WriteFile(hand, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{filepath.Join(dir, "server"): 104, hand: 3} {
		set, err := backupset.Open(path, backupset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(set.Data().Path())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l := &locator{t: t, f: f}
		if err := set.Read(context.Background(), set.Data(), l); err != nil || l.seen < want {
			t.Errorf("%d members: %v", l.seen, err)
		}
	}
}
