package codec

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// BenchmarkWriter prints the input's MB/s and how many times smaller it becomes, for each codec at the levels in use. Input arrives in
// pieces of 32 KiB, as a server sends it.
func BenchmarkWriter(b *testing.B) {
	data := pages(4 << 20)
	for _, c := range []struct {
		a      Algorithm
		levels []int
	}{{None, []int{0}}, {Gzip, []int{1, 6, 9}}, {LZ4, []int{0, 9}}, {Zstd, []int{1, 3, 6, 10}}} {
		for _, level := range c.levels {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s-%d/workers=%d", c.a, level, workers), func(b *testing.B) {
					b.SetBytes(int64(len(data)))
					b.ReportAllocs()
					var out counter
					w, err := NewWriter(&out, Spec{Algorithm: c.a, Level: level, LevelSet: true, Workers: workers, WorkersSet: true})
					if err != nil {
						b.Fatal(err)
					}
					var in int64
					for b.Loop() {
						for rest := data; len(rest) > 0; {
							n := min(len(rest), 32<<10)
							if _, err := w.Write(rest[:n]); err != nil {
								b.Fatal(err)
							}
							rest = rest[n:]
						}
						in += int64(len(data))
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(in)/float64(out.n), "ratio")
				})
			}
		}
	}
}

// BenchmarkReader prints the MB/s of the output.
func BenchmarkReader(b *testing.B) {
	data := pages(4 << 20)
	for _, a := range compressed {
		z := compress(b, Spec{Algorithm: a}, bytes.Repeat(data, 4))
		b.Run(a.String(), func(b *testing.B) {
			b.SetBytes(4 * int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(z), a)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); n != 4*int64(len(data)) || err != nil {
					b.Fatal(n, err)
				}
				r.Close()
			}
		})
	}
}

// BenchmarkSeekable prints the MB/s of pieces of 64 KiB, one after the other and here and there.
func BenchmarkSeekable(b *testing.B) {
	var z bytes.Buffer
	w, err := NewWriter(&z, Spec{Algorithm: Zstd})
	if err != nil {
		b.Fatal(err)
	}
	data := pages(4 << 20)
	for range 4 {
		w.Boundary()
		w.Write(data)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	s, err := OpenSeekable(bytes.NewReader(z.Bytes()), int64(z.Len()))
	if err != nil {
		b.Fatal(err)
	}
	const piece = 64 << 10
	for _, order := range []struct {
		name string
		step int64
	}{{"in-order", piece}, {"here-and-there", 5<<20 + piece}} {
		b.Run(order.name, func(b *testing.B) {
			b.SetBytes(piece)
			b.ReportAllocs()
			buf, at := make([]byte, piece), int64(0)
			for b.Loop() {
				if _, err := s.ReadAt(buf, at); err != nil {
					b.Fatal(err)
				}
				at = (at + order.step) % (s.Size() - piece)
			}
		})
	}
}
