package tarstream

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// serverPiece is how much a server sends at once (SINK_BUFFER_LENGTH in
// src/backend/backup/basebackup.c).
const serverPiece = 32 << 10

// discard is a Visitor that looks at nothing.
type discard struct{}

func (discard) Member(*Header) error { return nil }
func (discard) Content([]byte) error { return nil }
func (discard) EndMember() error     { return nil }

func bigArchive(t testing.TB, files int, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	write := func(h *Header, content []byte) {
		if err := WriteFile(w, h, content); err != nil {
			t.Fatal(err)
		}
	}
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i*7 + i>>10)
	}
	write(&Header{Name: "base", Type: Directory, Mode: 0o700}, nil)
	for i := range files {
		if i%300 == 0 { // about as many as a fresh database has
			write(&Header{Name: fmt.Sprintf("base/%d", i/300), Type: Directory, Mode: 0o700}, nil)
		}
		write(&Header{Name: fmt.Sprintf("base/%d/%d", i/300, 16384+i), Mode: 0o600, Size: int64(size), ModTime: someTime}, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func feed(b *testing.B, v Visitor, a []byte, piece int) {
	if err := parse(v, a, piece); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkParser(b *testing.B) {
	for _, c := range []struct {
		name        string
		files, size int
	}{{"1x64MB", 1, 64 << 20}, {"10000x8kB", 10000, 8 << 10}} {
		a := bigArchive(b, c.files, c.size)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(a)))
			b.ReportAllocs()
			for b.Loop() {
				feed(b, discard{}, a, serverPiece)
			}
		})
	}
}

// BenchmarkExtract compares with GNU tar on the same archive and file system.
// What was extracted is removed at the very end: ext4 searches for inodes that
// were not deleted a moment ago, and for some time after many were, creating
// files takes many times as long.
func BenchmarkExtract(b *testing.B) {
	top := b.TempDir()
	for _, c := range []struct {
		name        string
		files, size int
	}{{"1x64MB", 1, 64 << 20}, {"10000x8kB", 10000, 8 << 10}} {
		a := bigArchive(b, c.files, c.size)
		extract := func(piece int) func(b *testing.B) {
			return func(b *testing.B) {
				b.SetBytes(int64(len(a)))
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					dir := freshDir(b, top)
					b.StartTimer()
					x, err := NewExtractor(ExtractOptions{Dir: dir})
					if err != nil {
						b.Fatal(err)
					}
					feed(b, x, a, piece)
					if err := x.Close(); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run(c.name+"/pieces=32kB", extract(serverPiece))
		b.Run(c.name+"/pieces=1MB", extract(1<<20))
		b.Run(c.name+"/gnutar", func(b *testing.B) {
			file := filepath.Join(freshDir(b, top), "a.tar")
			if err := os.WriteFile(file, a, 0o600); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(a)))
			for b.Loop() {
				b.StopTimer()
				dir := freshDir(b, top)
				b.StartTimer()
				if out, err := exec.Command("tar", "-x", "-f", file, "-C", dir).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}

// freshDir is an empty directory below top.
func freshDir(b *testing.B, top string) string {
	dir, err := os.MkdirTemp(top, "")
	if err != nil {
		b.Fatal(err)
	}
	return dir
}
