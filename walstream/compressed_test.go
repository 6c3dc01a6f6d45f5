package walstream_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/walstream"
	"github.com/pgbasin/pgbasin/walstream/sinktest"
)

var algorithms = []codec.Algorithm{codec.Gzip, codec.LZ4, codec.Zstd}

func compressed(t testing.TB, o walstream.DirectoryOptions, a codec.Algorithm) *walstream.Compressed {
	t.Helper()
	c, err := walstream.NewCompressed(o, codec.Spec{Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// unpacked decompresses the segments among files, as far as that goes, and gives
// them names without the suffix of the compression.
func unpacked(t testing.TB, files map[string][]byte, a codec.Algorithm) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte)
	for name, content := range files {
		plain := strings.Replace(name, a.Suffix(), "", 1)
		if plain == name {
			out[name] = content
			continue
		}
		z, err := codec.NewReader(bytes.NewReader(content), a)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil && !strings.Contains(name, walstream.PartialSuffix) {
			t.Errorf("%s: %v", name, err)
		}
		out[plain] = text
	}
	return out
}

func TestCompressedDirectoryIsASink(t *testing.T) {
	for _, a := range algorithms {
		for name, o := range map[string]walstream.DirectoryOptions{"synced": {}, "not synced": {NoSync: true}} {
			t.Run(a.String()+" "+name, func(t *testing.T) {
				sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
					o.Path = t.TempDir()
					c := compressed(t, o, a)
					return sinktest.Fixture{
						Sink: c, Durable: !o.NoSync, Partial: walstream.PartialSuffix, Short: true,
						Files: func(t *testing.T) map[string][]byte {
							if err := c.Close(); err != nil {
								t.Error(err)
							}
							return unpacked(t, readTree(t, o.Path), a)
						},
					}
				})
			})
		}
	}
}

// noise is WAL that cannot be compressed.
func noise(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

func TestWhatWasSyncedIsInTheCompressedFileOfAKilledProcess(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			dir := t.TempDir()
			want := noise(700000)
			c := compressed(t, walstream.DirectoryOptions{Path: dir}, a)
			if err := c.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
				t.Fatal(err)
			}
			for _, end := range []int{1, 8192, 8193, 500000, 700000} {
				begin := len(unpacked(t, readTree(t, dir), a)[segmentName+walstream.PartialSuffix])
				if _, err := c.Write(want[begin:end]); err != nil {
					t.Fatal(err)
				}
				if durable, err := c.Sync(); !durable || err != nil {
					t.Fatal(durable, err)
				}
				got := unpacked(t, readTree(t, dir), a)[segmentName+walstream.PartialSuffix]
				if !bytes.Equal(got, want[:end]) {
					t.Fatalf("%d bytes can be had of the %d that were synced", len(got), end)
				}
			}

			// The next process begins the segment again; until it has more, the
			// old file stays, also when that process is killed.
			again := compressed(t, walstream.DirectoryOptions{Path: dir}, a)
			check := func(what string, n int) {
				t.Helper()
				files := unpacked(t, readTree(t, dir), a)
				best := 0
				for _, text := range files {
					if !bytes.Equal(text, want[:len(text)]) {
						t.Errorf("%s: a file holds something else", what)
					}
					best = max(best, len(text))
				}
				if best != n {
					t.Errorf("%s: %d bytes can be had, want %d", what, best, n)
				}
			}
			if err := again.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
				t.Fatal(err)
			}
			check("begun", 700000)
			if _, err := again.Write(want[:100000]); err != nil {
				t.Fatal(err)
			}
			if _, err := again.Sync(); err != nil {
				t.Fatal(err)
			}
			check("killed early", 700000)
			want = append(want, noise(1 << 20)[700000:]...)
			if _, err := again.Write(want[100000:800000]); err != nil {
				t.Fatal(err)
			}
			if _, err := again.Sync(); err != nil {
				t.Fatal(err)
			}
			check("killed late", 800000)

			third := compressed(t, walstream.DirectoryOptions{Path: dir}, a)
			if err := third.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
				t.Fatal(err)
			}
			if _, err := third.Write(want); err != nil {
				t.Fatal(err)
			}
			if err := third.CloseSegment(); err != nil {
				t.Fatal(err)
			}
			if files := unpacked(t, readTree(t, dir), a); len(files) != 1 || !bytes.Equal(files[segmentName], want) {
				t.Errorf("there are %d files at the end", len(files))
			}
		})
	}
}

func TestSinkThatFindsNoRoomAsksAndTriesAgain(t *testing.T) {
	dir := t.TempDir()
	asked := 0
	d := walstream.NewDirectory(walstream.DirectoryOptions{
		Path: dir, Partial: true,
		Full: func(err error) error {
			if !walstream.NoRoom(err) {
				t.Errorf("asked about %v", err)
			}
			if asked++; asked == 3 {
				return err
			}
			return nil
		},
	})
	defer d.Close()
	// More than a file can have is not "no room": it is told at once.
	if err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: 1 << 60}); err == nil {
		t.Error("an exabyte was allocated")
	}
	if asked != 0 && asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	for err, want := range map[error]bool{
		&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}: true,
		&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}: true,
		&os.PathError{Op: "write", Path: "x", Err: syscall.EIO}:    false,
		io.ErrShortWrite: false,
	} {
		if walstream.NoRoom(err) != want {
			t.Errorf("NoRoom(%v) is not %v", err, want)
		}
	}
}

func TestDurationsOfSyncsAreTold(t *testing.T) {
	n := 0
	d := walstream.NewDirectory(walstream.DirectoryOptions{Path: t.TempDir(), Partial: true, Synced: func(took time.Duration) { n++ }})
	defer d.Close()
	if err := d.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sync(); err != nil || n != 1 {
		t.Errorf("%d told, %v", n, err)
	}
	if err := d.CloseSegment(); err != nil || n != 2 {
		t.Errorf("%d told, %v", n, err)
	}
}

func TestWhatCannotBeCompressedWithIsRefused(t *testing.T) {
	for _, s := range []codec.Spec{{}, {Algorithm: codec.Gzip, Level: 100, LevelSet: true}} {
		if _, err := walstream.NewCompressed(walstream.DirectoryOptions{Path: t.TempDir()}, s); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
	for level := 0; level <= 12; level++ {
		if _, err := walstream.NewCompressed(walstream.DirectoryOptions{Path: t.TempDir()}, codec.Spec{Algorithm: codec.LZ4, Level: level, LevelSet: true}); err != nil {
			t.Error(err)
		}
	}
	for level := -10; level <= 22; level++ {
		if _, err := walstream.NewCompressed(walstream.DirectoryOptions{Path: t.TempDir()}, codec.Spec{Algorithm: codec.Zstd, Level: level, LevelSet: true}); err != nil {
			t.Error(err)
		}
	}
}

func TestUnreadablePartialSegmentIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, segmentName+".gz.partial")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	c := compressed(t, walstream.DirectoryOptions{Path: dir}, codec.Gzip)
	if err := c.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
