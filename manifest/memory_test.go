package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"runtime"
	"strconv"
	"testing"
)

// generated is the manifest of n files, made as it is read.
type generated struct {
	n, next int
	path    func(i int) int // the i-th entry is that of file path(i)
	buf     []byte
	pending []byte
	sum     hash.Hash
	ended   bool
}

func newGenerated(n int) *generated {
	return &generated{n: n, path: func(i int) int { return i }, sum: sha256.New(),
		pending: []byte("{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7000000000000000001,\n\"Files\": [")}
}

func (g *generated) Read(p []byte) (int, error) {
	if len(g.pending) == 0 {
		if g.ended {
			return 0, io.EOF
		}
		g.produce()
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

func (g *generated) produce() {
	if g.next == 0 {
		g.sum.Write([]byte("{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7000000000000000001,\n\"Files\": ["))
	}
	b := g.buf[:0]
	for g.next < g.n && len(b) < 32<<10 {
		if g.next > 0 {
			b = append(b, ',')
		}
		i := g.path(g.next)
		b = append(b, "\n{ \"Path\": \""...)
		b = appendPath(b, i)
		b = append(b, "\", \"Size\": "...)
		b = strconv.AppendInt(b, fileSize(i), 10)
		b = append(b, ", \"Last-Modified\": \"2026-01-31 12:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \""...)
		sum := fileSum(i)
		b = hex.AppendEncode(b, sum[:])
		b = append(b, "\" }"...)
		g.next++
	}
	if len(b) == 0 {
		b = append(b, "\n],\n"+soundWAL...)
		g.sum.Write(b)
		b = append(b, "\"Manifest-Checksum\": \""...)
		b = hex.AppendEncode(b, g.sum.Sum(nil))
		b = append(b, "\"}\n"...)
		g.ended = true
	} else {
		g.sum.Write(b)
	}
	g.buf, g.pending = b, b
}

func appendPath(b []byte, i int) []byte {
	b = append(b, "base/"...)
	b = strconv.AppendInt(b, int64(i/1000), 10)
	b = append(b, '/')
	return strconv.AppendInt(b, int64(16384+i%1000), 10)
}

func fileSize(i int) int64 { return int64(i%100) * 8192 }

func fileSum(i int) [4]byte { return [4]byte{byte(i), byte(i >> 8), byte(i >> 16), 1} }

// heap samples how much memory is in use above what was at its making.
type heap struct{ base, peak uint64 }

func newHeap() *heap {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return &heap{base: m.HeapAlloc}
}

func (h *heap) sample() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > h.base {
		h.peak = max(h.peak, m.HeapAlloc-h.base)
	}
}

// sampled samples the heap while it is read from.
type sampled struct {
	io.Reader
	heap  *heap
	reads int
}

func (s *sampled) Read(p []byte) (int, error) {
	if s.reads++; s.reads%100 == 0 {
		s.heap.sample()
	}
	return s.Reader.Read(p)
}

func noteGenerated(t testing.TB, l *Ledger, n int, sample func()) {
	var path []byte
	for i := range n {
		path = appendPath(path[:0], i)
		sum := fileSum(i)
		if err := l.Add(string(path), fileSize(i), sum[:]); err != nil {
			t.Fatal(err)
		}
		if i%10_000 == 0 {
			sample()
		}
	}
}

// million is how many files there are in the largest manifests. The race detector,
// which makes all of this slow, has to do with fewer.
const million = 1_000_000 / slowdown

func TestReaderOfMillionFilesNeedsLittleMemory(t *testing.T) {
	h := newHeap()
	r := NewReader(&sampled{Reader: newGenerated(million), heap: h})
	n := 0
	for r.Next() {
		n++
	}
	if r.Err() != nil || n != million {
		t.Fatalf("%d files: %v", n, r.Err())
	}
	t.Logf("%d kB of memory in use", h.peak>>10)
	if h.peak > 1<<20 {
		t.Error("that is too much")
	}
}

func TestLedgerOfMillionFilesNeedsLittleMemory(t *testing.T) {
	h := newHeap()
	l := NewLedger(t.TempDir(), CRC32C)
	defer l.Close()
	noteGenerated(t, l, million, h.sample)
	if err := l.Verify(NewReader(&sampled{Reader: newGenerated(million), heap: h})); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kB of memory in use", h.peak>>10)
	if h.peak > 16<<20 {
		t.Error("that is too much")
	}
}

func TestManifestInOtherOrderNeedsLittleMemory(t *testing.T) {
	const n = million / 2
	h := newHeap()
	l := NewLedger(t.TempDir(), CRC32C)
	defer l.Close()
	noteGenerated(t, l, n, h.sample)
	g := newGenerated(n)
	g.path = func(i int) int { return n - 1 - i }
	if err := l.Verify(NewReader(&sampled{Reader: g, heap: h})); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kB of memory in use", h.peak>>10)
	if h.peak > 32<<20 {
		t.Error("that is too much")
	}
}

func TestOneLineOfAnyLengthNeedsLittleMemory(t *testing.T) {
	h := newHeap()
	r := NewReader(&sampled{Reader: io.LimitReader(spaces{}, 64<<20/slowdown), heap: h})
	if r.Next() || message(r.Err()) != ended {
		t.Errorf("got %v", r.Err())
	}
	t.Logf("%d kB of memory in use", h.peak>>10)
	if h.peak > 1<<20 {
		t.Error("that is too much")
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestNothingIsAllocatedForEachFile(t *testing.T) {
	l := NewLedger(t.TempDir(), CRC32C)
	defer l.Close()
	noteGenerated(t, l, 200_000, func() {}) // until the buffer has its size
	sum := []byte{1, 2, 3, 4}
	if n := testing.AllocsPerRun(50_000, func() {
		if err := l.Add("base/16384/16385_fsm", 8192, sum); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Add: %v allocations", n)
	}
	r := NewReader(newGenerated(20_000))
	r.Next()
	if n := testing.AllocsPerRun(10_000, func() { r.Next() }); n > 0 {
		t.Errorf("Next: %v allocations", n)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
}

// BenchmarkReader reads a manifest of 100,000 files.
func BenchmarkReader(b *testing.B) {
	m, err := io.ReadAll(newGenerated(100_000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(&memory{m})
		for r.Next() {
		}
		if r.Err() != nil {
			b.Fatal(r.Err())
		}
	}
}

// memory returns what it has in the largest pieces that it can.
type memory struct{ left []byte }

func (m *memory) Read(p []byte) (int, error) {
	if len(m.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.left)
	m.left = m.left[n:]
	return n, nil
}

func BenchmarkLedgerAdd(b *testing.B) {
	l := NewLedger(b.TempDir(), CRC32C)
	defer l.Close()
	paths := make([]string, 1000)
	for i := range paths {
		paths[i] = string(appendPath(nil, i))
	}
	sum := []byte{1, 2, 3, 4}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := l.Add(paths[i%1000], 8192, sum); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkVerify compares 100,000 files, in the server's order and in the
// opposite one.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	for _, order := range []struct {
		name string
		path func(int) int
	}{
		{"SameOrder", func(i int) int { return i }},
		{"Reversed", func(i int) int { return n - 1 - i }},
	} {
		b.Run(order.name, func(b *testing.B) {
			g := newGenerated(n)
			g.path = order.path
			m, err := io.ReadAll(g)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				l := NewLedger(b.TempDir(), CRC32C)
				noteGenerated(b, l, n, func() {})
				b.StartTimer()
				if err := l.Verify(NewReader(&memory{m})); err != nil {
					b.Fatal(err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCRC32C(b *testing.B) {
	p := make([]byte, 64<<10)
	h := CRC32C.New()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		h.Write(p)
	}
}
