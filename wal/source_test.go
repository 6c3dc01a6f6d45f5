package wal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDirFindsTheSizeInTheFirstPage(t *testing.T) {
	b := newBuilder(300)
	b.segSize = 4 << 20
	b.pos = SegmentStart(300, b.segSize)
	start := b.pos
	b.fill(SegmentStart(302, b.segSize) + 1000)
	dir := t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := Dir(dir, 0).SegmentSize(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory has segments of %d bytes, %v", size, err)
	}
	for name, content := range b.files {
		write(name, content)
	}
	// What stands before them and says nothing.
	write("000000010000000000000000", nil)
	write("000000010000000000000001", make([]byte, 1<<20))
	write("00000001.history", []byte("x"))
	if err := os.Mkdir(filepath.Join(dir, "000000010000000000000002"), 0o700); err != nil {
		t.Fatal(err)
	}
	src := Dir(dir, 0)
	if size, err := src.SegmentSize(); err != nil || size != b.segSize {
		t.Errorf("segments have %d bytes, %v", size, err)
	}
	for _, size := range []int64{0, b.segSize} {
		r := NewReader(src, ReaderOptions{SegmentSize: size, Timeline: 1, Start: start + 2<<20})
		if n := len(readAll(t, r)); n == 0 || r.Err() != nil || r.EndLSN() != b.pos || r.SegmentSize() != b.segSize || r.SystemID() != testSystemID {
			t.Errorf("%d records until %v, %v", n, r.EndLSN(), r.Err())
		}
	}
	// A size that does not fit is told, whatever it leads to.
	r := NewReader(Dir(dir, 8<<20), ReaderOptions{Timeline: 1, Start: start})
	if readAll(t, r); r.Err() == nil {
		t.Error("segments of another size are read")
	}
	if _, err := src.OpenSegment(1, 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a segment that is not there: %v", err)
	}
	r = NewReader(Dir(filepath.Join(dir, "none"), 0), ReaderOptions{Timeline: 1, Start: 1})
	if readAll(t, r); !errors.Is(r.Err(), fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", r.Err())
	}
}
