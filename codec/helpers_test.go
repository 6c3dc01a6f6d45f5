package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var compressed = []Algorithm{Gzip, LZ4, Zstd}

// pages returns n bytes, up to 4 MiB, that look like a PostgreSQL heap: 8 KiB pages with headers, line pointers and rows of numbers,
// timestamps and text, some partly empty. They are the same on every run, and not to be changed.
func pages(n int) []byte { return heap()[:n:n] }

var heap = sync.OnceValue(func() []byte {
	const n = 4 << 20
	rnd := rand.New(rand.NewPCG(18, 4))
	words := strings.Fields("customer order shipped paid returned pending Berlin Paris London Tokyo warehouse invoice number delivery note express standard")
	out := make([]byte, 0, n+8192)
	id := uint32(1)
	for len(out) < n {
		page := make([]byte, 8192)
		le := binary.LittleEndian
		le.PutUint64(page, 0x1_0000_0000+uint64(len(out))*3)
		le.PutUint16(page[8:], uint16(rnd.Uint32()))
		le.PutUint16(page[16:], 8192)
		le.PutUint16(page[18:], 8192|4)
		lower, upper := 24, 8192
		fill := 200
		if rnd.IntN(8) == 0 {
			fill = rnd.IntN(200)
		}
		for range fill {
			var row []byte
			row = le.AppendUint32(row, 700+rnd.Uint32N(40)) // xmin
			row = append(row, 0, 0, 0, 0, 0, 0, 0, 0)
			row = le.AppendUint32(row, id)
			row = append(row, 7, 0, 2, 9, 24, 0)
			row = le.AppendUint32(row, id)
			row = le.AppendUint32(row, rnd.Uint32N(50000))
			row = le.AppendUint64(row, 700_000_000_000_000+rnd.Uint64N(80_000_000_000_000))
			row = fmt.Appendf(row, "%c%d.%02d", 2*10+3, rnd.IntN(100000), rnd.IntN(100))
			row = fmt.Appendf(row, "A%016x", rnd.Uint64())
			for range 2 + rnd.IntN(6) {
				row = append(append(row, words[rnd.IntN(len(words))]...), ' ')
			}
			size := (len(row) + 7) &^ 7
			if lower+4 > upper-size {
				break
			}
			upper -= size
			copy(page[upper:], row)
			le.PutUint32(page[lower:], uint32(upper)|1<<15|uint32(len(row))<<17)
			lower += 4
			id++
		}
		le.PutUint16(page[12:], uint16(lower))
		le.PutUint16(page[14:], uint16(upper))
		out = append(out, page...)
	}
	return out
})

// noise makes n bytes that do not compress.
func noise(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

func compress(t testing.TB, s Spec, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, s)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decompress(a Algorithm, r io.Reader) ([]byte, error) {
	z, err := NewReader(r, a)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(struct{ io.Reader }{z})
}

// noLeak fails the test unless the goroutines that it starts end.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				buf := make([]byte, 64<<10)
				t.Errorf("%d goroutines, %d before the test:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
			runtime.Gosched()
		}
	})
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("got %d bytes, want %d; they differ from byte %d on", len(got), len(want), i)
}
