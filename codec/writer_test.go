package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func TestEverySizeSurvivesTheRoundTrip(t *testing.T) {
	noLeak(t)
	data := append(pages(4<<20), noise(20<<10)...)
	for a, block := range map[Algorithm]int{Gzip: gzipBlock, LZ4: lz4Block, Zstd: zstdBlock} {
		for _, size := range []int{0, 1, 2, 100, 65535, 65536, block - 1, block, block + 1, 2*block + 12345} {
			z := compress(t, Spec{Algorithm: a, Workers: 3, WorkersSet: true}, data[:size])
			got, err := decompress(a, bytes.NewReader(z))
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", a, size, err)
			}
			same(t, got, data[:size])
		}
	}
}

func TestEveryLevelSurvivesTheRoundTrip(t *testing.T) {
	data := append(pages(300<<10), noise(100<<10)...)
	data = append(data, make([]byte, 100<<10)...)
	for a, levels := range map[Algorithm][]int{
		None: {0},
		Gzip: {-1, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		LZ4:  {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
		Zstd: {-131072, -5, 0, 1, 3, 6, 10, 22},
	} {
		for _, level := range levels {
			z := compress(t, Spec{Algorithm: a, Level: level, LevelSet: true}, data)
			got, err := decompress(a, bytes.NewReader(z))
			if err != nil {
				t.Fatalf("%s level %d: %v", a, level, err)
			}
			same(t, got, data)
		}
	}
	z := compress(t, Spec{Algorithm: Zstd, Long: true}, data)
	got, err := decompress(Zstd, bytes.NewReader(z))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
}

func TestTheOutputDependsOnNeitherWorkersNorTheSplitIntoWrites(t *testing.T) {
	data := pages(4 << 20)
	for _, a := range compressed {
		want := compress(t, Spec{Algorithm: a, Workers: 1, WorkersSet: true}, data)
		for _, step := range []int{1000, 32768, gzipBlock, 2 << 20} {
			var out bytes.Buffer
			w, err := NewWriter(&out, Spec{Algorithm: a, Workers: 4, WorkersSet: true})
			if err != nil {
				t.Fatal(err)
			}
			scratch := make([]byte, step)
			for rest := data; len(rest) > 0; {
				n := copy(scratch, rest)
				rest = rest[n:]
				if _, err := w.Write(scratch[:n]); err != nil {
					t.Fatal(err)
				}
				clear(scratch) // the Writer must not keep it
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			same(t, out.Bytes(), want)
		}
	}
}

// Where a member begins counts, not how the bytes between came in.
func TestTheOutputWithBoundariesDependsOnNeitherWorkersNorTheSplitIntoWrites(t *testing.T) {
	data := append(pages(4<<20), noise(1<<20)...)
	at := []int{0, 100, 300 << 10, 900 << 10, 900<<10 + 1, 1500 << 10, 4 << 20, 4<<20 + 17, len(data)}
	for _, a := range append(compressed, None) {
		var want []byte
		for _, workers := range []int{1, 4} {
			for _, step := range []int{1 << 10, 65536 + 1, len(data)} {
				var out bytes.Buffer
				w, err := NewWriter(&out, Spec{Algorithm: a, Workers: workers, WorkersSet: true})
				if err != nil {
					t.Fatal(err)
				}
				for i := 1; i < len(at); i++ {
					w.Boundary()
					for rest := data[at[i-1]:at[i]]; len(rest) > 0; {
						n := min(step, len(rest))
						if _, err := w.Write(rest[:n]); err != nil {
							t.Fatal(err)
						}
						rest = rest[n:]
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				w.Boundary() // does nothing any more
				if want == nil {
					want = out.Bytes()
				}
				same(t, out.Bytes(), want)
			}
		}
		got, err := decompress(a, bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)
		if plain := compress(t, Spec{Algorithm: a}, data); a != Zstd {
			same(t, want, plain)
		}
	}
}

func TestIncompressibleDataGrowsByAThousandthAtMost(t *testing.T) {
	data := noise(2<<20 + 77)
	for _, a := range compressed {
		for _, level := range []int{1, 6, 9} {
			z := compress(t, Spec{Algorithm: a, Level: level, LevelSet: true}, data)
			if len(z) > len(data)+len(data)/1000 {
				t.Errorf("%s level %d: %d bytes became %d", a, level, len(data), len(z))
			}
		}
	}
}

func TestGzipIsOneMember(t *testing.T) {
	data := pages(gzipBlock + 100_000)
	r := bytes.NewReader(compress(t, Spec{Algorithm: Gzip}, data))
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	got, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	if r.Len() != 0 {
		t.Errorf("%d bytes after the first member", r.Len())
	}
}

// limitedWriter fails with errFull when more than left bytes were written.
type limitedWriter struct {
	left   int
	failed atomic.Bool
	after  atomic.Int64 // calls after the failure
}

var errFull = errors.New("no space left on device")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.failed.Load() {
		w.after.Add(1)
	}
	if len(p) > w.left {
		w.failed.Store(true)
		return w.left, errFull
	}
	w.left -= len(p)
	return len(p), nil
}

func TestAWriteErrorIsStickyAndReleasesEverything(t *testing.T) {
	data := pages(4 << 20)
	for _, a := range append(compressed, None) {
		whole := len(compress(t, Spec{Algorithm: a}, data))
		for _, left := range []int{0, 5, whole / 2, whole - 1} {
			t.Run(fmt.Sprintf("%s/%d", a, left), func(t *testing.T) {
				noLeak(t)
				lw := &limitedWriter{left: left}
				w, err := NewWriter(lw, Spec{Algorithm: a, Workers: 2, WorkersSet: true})
				if err != nil {
					t.Fatal(err)
				}
				var werr error
				for rest := data; len(rest) > 0 && werr == nil; {
					n := min(len(rest), 100_000)
					_, werr = w.Write(rest[:n])
					rest = rest[n:]
				}
				if werr != nil && !errors.Is(werr, errFull) {
					t.Errorf("Write: %v", werr)
				}
				if werr != nil {
					if _, err := w.Write(data); !errors.Is(err, errFull) {
						t.Errorf("Write after the error: %v", err)
					}
				}
				for range 2 {
					if err := w.Close(); !errors.Is(err, errFull) {
						t.Errorf("Close: %v", err)
					}
				}
				if n := lw.after.Load(); n > 0 {
					t.Errorf("%d writes after the failed one", n)
				}
			})
		}
	}
}

// A backup of a terabyte must not go on for hours after the disk is full.
func TestAWriteErrorIsNoticedBeforeClose(t *testing.T) {
	noLeak(t)
	data := pages(1 << 20)
	for _, a := range compressed {
		w, err := NewWriter(&limitedWriter{}, Spec{Algorithm: a, Workers: 2, WorkersSet: true})
		if err != nil {
			t.Fatal(err)
		}
		err = nil
		for i := 0; err == nil; i++ {
			if i == 20 {
				t.Fatalf("%s took %d MiB in without an error", a, i)
			}
			_, err = w.Write(data)
		}
		if !errors.Is(err, errFull) {
			t.Error(err)
		}
		w.Close()
	}
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestAShortWriteIsAnError(t *testing.T) {
	for _, a := range append(compressed, None) {
		w, err := NewWriter(shortWriter{}, Spec{Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("some data"))
		if err := w.Close(); err != io.ErrShortWrite {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAnAbortedStreamIsCutOff(t *testing.T) {
	noLeak(t)
	data := bytes.Repeat(pages(4<<20), 2)
	for _, a := range compressed {
		// Whole blocks, so that the stream is given up between two of them.
		for _, blocks := range []int{0, 1, 2, 3} {
			var out bytes.Buffer
			w, err := NewWriter(&out, Spec{Algorithm: a, Workers: 2, WorkersSet: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data[:blocks*w.format.blockSize]); err != nil {
				t.Fatal(err)
			}
			w.Abort()
			n := out.Len()
			if err := w.Close(); err == nil || out.Len() != n {
				t.Errorf("%s: Close after Abort: %v, wrote %d bytes", a, err, out.Len()-n)
			}
			if _, err := w.Write(data); err == nil {
				t.Errorf("%s: Write after Abort succeeded", a)
			}
			if _, err := decompress(a, &out); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, given up after %d blocks: reading gives %v", a, blocks, err)
			}
		}
	}
}

func TestAbortAfterCloseChangesNothing(t *testing.T) {
	for _, a := range append(compressed, None) {
		var out bytes.Buffer
		w, err := NewWriter(&out, Spec{Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("data"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if err := w.Close(); err != nil {
			t.Errorf("%s: second Close: %v", a, err)
		}
		if _, err := w.Write([]byte("more")); err == nil || !strings.Contains(err.Error(), a.String()) {
			t.Errorf("%s: Write after Close: %v", a, err)
		}
		got, err := decompress(a, &out)
		if err != nil || string(got) != "data" {
			t.Errorf("%s: %q, %v", a, got, err)
		}
	}
}

func TestAnImpossibleSpecIsRefused(t *testing.T) {
	for _, s := range []Spec{
		{Algorithm: Gzip, Level: 10, LevelSet: true},
		{Algorithm: LZ4, Level: -1, LevelSet: true},
		{Algorithm: Zstd, Level: 23, LevelSet: true},
		{Algorithm: None, Level: 1, LevelSet: true},
		{Algorithm: 99},
		{Algorithm: -1},
	} {
		if _, err := NewWriter(io.Discard, s); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
	if _, err := NewReader(strings.NewReader(""), 99); err == nil {
		t.Error("algorithm 99 was accepted")
	}
}

// allocated returns what f allocates on the heap, in bytes.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// The figures are those of the package documentation, for two workers. What is allocated over the whole stream is at least what is held
// at any time of it.
func TestMemoryOfAWriterIsBoundedAndReused(t *testing.T) {
	data := append(noise(3<<20), pages(2<<20)...)
	for a, limit := range map[Algorithm]int64{Gzip: 17 << 20, LZ4: 10 << 20, Zstd: 34 << 20} {
		w, err := NewWriter(io.Discard, Spec{Algorithm: a, Workers: 2, WorkersSet: true})
		if err != nil {
			t.Fatal(err)
		}
		n := allocated(func() {
			for range 3 {
				if _, err := w.Write(data); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
		if n > limit {
			t.Errorf("%s allocated %d KiB for 15 MiB of data, more than %d KiB", a, n>>10, limit>>10)
		}
	}
}
