package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// seekEntries is a table as other programs may write it: of entries with as many fields as sum says, and with any descriptor.
func seekEntries(descriptor byte, entries ...[2]uint32) []byte {
	le := binary.LittleEndian
	size := 8
	if descriptor&seekSummed != 0 {
		size = 12
	}
	b := le.AppendUint32(nil, seekMagic)
	b = le.AppendUint32(b, uint32(len(entries)*size+9))
	for _, e := range entries {
		b = le.AppendUint32(le.AppendUint32(b, e[0]), e[1])
		b = append(b, make([]byte, size-8)...)
	}
	b = le.AppendUint32(b, uint32(len(entries)))
	b = append(b, descriptor)
	return le.AppendUint32(b, seekFooterMagic)
}

// foreign is a file of frames of several kinds with a table that has checksums, as the format allows it.
func foreign(t testing.TB) (z, data []byte) {
	var entries [][2]uint32
	add := func(frame, content []byte) {
		z, data = append(z, frame...), append(data, content...)
		entries = append(entries, [2]uint32{uint32(len(frame)), uint32(len(content))})
	}
	p := pages(3 << 20)
	add(zstdSkipped(1000), nil)
	add(zstdStream(t, p[:700_000]), p[:700_000]) // does not say what it holds
	add(zstdWhole(t, nil), nil)
	add(zstdWhole(t, p, zstd.WithEncoderCRC(false)), p)
	add(zstdSkipped(0), nil)
	add(zstdRaw(6, "abc", "", "def"), []byte("abcdef"))
	return append(z, seekEntries(seekSummed|3, entries...)...), data
}

// readers counts what is read.
type readers struct {
	io.ReaderAt
	n atomic.Int64
}

func (r *readers) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.n.Add(int64(n))
	return n, err
}

func openSeekable(t testing.TB, z []byte) (*Seekable, *readers) {
	t.Helper()
	r := &readers{ReaderAt: bytes.NewReader(z)}
	s, err := OpenSeekable(r, int64(len(z)))
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func TestReadingAtRandomGivesWhatAStreamGives(t *testing.T) {
	data := append(pages(4<<20), noise(1<<20+5)...)
	foreignFile, foreignData := foreign(t)
	for what, c := range map[string]struct{ z, data []byte }{
		"one frame": {members(t, Spec{Algorithm: Zstd}, data[:100]), data[:100]},
		"frames":    {members(t, Spec{Algorithm: Zstd}, data), data},
		"members":   {members(t, Spec{Algorithm: Zstd}, data[:600<<10], data[600<<10:3<<20], data[3<<20:]), data},
		"long":      {members(t, Spec{Algorithm: Zstd, Long: true}, bytes.Repeat(data, 2)), bytes.Repeat(data, 2)},
		"foreign":   {foreignFile, foreignData},
		"empty":     {members(t, Spec{Algorithm: Zstd}, nil), nil},
		"no frames": {seekEntries(0), nil},
	} {
		t.Run(what, func(t *testing.T) {
			s, _ := openSeekable(t, c.z)
			if s.Size() != int64(len(c.data)) {
				t.Fatalf("the size is %d, want %d", s.Size(), len(c.data))
			}
			if len(c.data) < 1<<20 { // the whole of iotest's
				if err := iotest.TestReader(io.NewSectionReader(s, 0, s.Size()), c.data); err != nil {
					t.Error(err)
				}
			}
			rnd := rand.New(rand.NewPCG(4, 2))
			for range 60 {
				off := rnd.Int64N(int64(len(c.data) + 10))
				want := c.data[min(off, int64(len(c.data))):]
				want = want[:min(len(want), rnd.IntN(1<<rnd.IntN(23)))]
				got := make([]byte, len(want))
				if n, err := s.ReadAt(got, off); n != len(want) || err != nil {
					t.Fatalf("%d bytes at %d: %d, %v", len(want), off, n, err)
				}
				same(t, got, want)
			}
			end := make([]byte, 10)
			if n, err := s.ReadAt(end, s.Size()); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d, %v", n, err)
			}
			if n, err := s.ReadAt(end, math.MaxInt64-20); n != 0 || err != io.EOF {
				t.Errorf("far behind the end: %d, %v", n, err)
			}
			if n, err := s.ReadAt(end, -1); n != 0 || err == nil {
				t.Errorf("before the beginning: %d, %v", n, err)
			}
			streamed, err := decompress(Zstd, bytes.NewReader(c.z))
			if err != nil {
				t.Fatal(err)
			}
			same(t, streamed, c.data)
		})
	}
}

func TestReadingAtRandomReadsNoOtherFrames(t *testing.T) {
	data := noise(20 << 20)
	z := members(t, Spec{Algorithm: Zstd}, data)
	s, r := openSeekable(t, z)
	table := int64(len(z) - contentEnd(z))
	if n := r.n.Load(); n > 2*table {
		t.Errorf("opening read %d bytes for a table of %d", n, table)
	}
	got := make([]byte, 1000)
	for _, c := range []struct{ off, frames int64 }{
		{5<<20 + 17, 1},
		{5<<20 + 300, 0}, // it has it
		{6<<20 - 10, 2},  // reaches into the next, and needs the first again
		{20<<20 - 1000, 1},
	} {
		before := r.n.Load()
		if _, err := s.ReadAt(got, c.off); err != nil {
			t.Fatal(err)
		}
		same(t, got, data[c.off:c.off+1000])
		if n := r.n.Load() - before; n > c.frames*(zstdBlock+1024)+table {
			t.Errorf("1000 bytes at %d took %d bytes of the file", c.off, n)
		}
	}
}

// More frames than one group of the table has.
func TestATableOfManyFramesIsReadInGroups(t *testing.T) {
	var z, data []byte
	var entries [][2]uint32
	for i := range 3*seekGroup + 5 {
		content := fmt.Sprint("frame ", i, ";")
		if i%5 == 0 {
			content = "" // beginnings that are alike
		}
		frame := zstdRaw(uint32(len(content)), content)
		z, data = append(z, frame...), append(data, content...)
		entries = append(entries, [2]uint32{uint32(len(frame)), uint32(len(content))})
	}
	z = append(z, seekEntries(0, entries...)...)
	s, _ := openSeekable(t, z)
	for _, off := range []int{len(data) - 1, 0, len(data) / 2, 14 * seekGroup, len(data)/2 + 1} {
		got := make([]byte, min(40, len(data)-off))
		if _, err := s.ReadAt(got, int64(off)); err != nil {
			t.Fatal(err)
		}
		same(t, got, data[off:off+len(got)])
	}
	got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
}

func TestSeveralGoroutinesReadAtRandom(t *testing.T) {
	data := pages(4 << 20)
	s, _ := openSeekable(t, members(t, Spec{Algorithm: Zstd}, data[:1<<20], data[1<<20:]))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			got := make([]byte, 5000)
			for i := range 10 {
				off := (g*1_000_003 + i*777_777) % (len(data) - len(got))
				if n, err := s.ReadAt(got, int64(off)); n != len(got) || err != nil || !bytes.Equal(got, data[off:off+n]) {
					t.Errorf("%d bytes at %d: %v", n, off, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestWhatHasNoTableIsNotSeekable(t *testing.T) {
	data := pages(100_000)
	ours := members(t, Spec{Algorithm: Zstd}, data)
	le := binary.LittleEndian
	frame := zstdWhole(t, data)
	n := uint32(len(frame))
	with := func(table []byte) []byte { return append(frame[:n:n], table...) }
	alter := func(back int, v uint32) []byte {
		z := with(seekEntries(0, [2]uint32{n, 100_000}))
		le.PutUint32(z[len(z)-back:], v)
		return z
	}
	for what, z := range map[string][]byte{
		"nothing":                     nil,
		"another tool's":              frame,
		"a stream without members":    compress(t, Spec{Algorithm: Zstd}, data),
		"something else":              noise(5000),
		"two files in one":            append(ours[:len(ours):len(ours)], ours...),
		"something behind":            append(ours[:len(ours):len(ours)], zstdSkipped(3)...),
		"the footer alone":            ours[len(ours)-9:],
		"reserved bits":               with(seekEntries(4, [2]uint32{n, 100_000})),
		"another magic number":        alter(8+9+8, zstdSkip|3),
		"another length":              alter(8+9+4, 18),
		"more frames than there are":  alter(9, 2),
		"fewer frames than there are": alter(9, 0),
		"frames beyond all bounds":    alter(9, math.MaxUint32),
		"many frames":                 alter(9, seekMaxFrames),
		"a frame that is too short":   alter(9+8, n-1),
		"a frame that is too long":    alter(9+8, n+1),
		"a frame of no bytes":         with(seekEntries(0, [2]uint32{n, 100_000}, [2]uint32{0, 0})),
		"content of no bytes":         with(seekEntries(0, [2]uint32{n, 100_000}, [2]uint32{0, 10})),
		"content of 4 GiB":            alter(9+4, math.MaxUint32),
		"content of 16 MiB and one":   alter(9+4, seekMaxContent+1),
		"content that is left out":    append(join(frame, zstdRaw(3, "abc")), seekEntries(0, [2]uint32{n, 100_000}, [2]uint32{15, 0})...),
		"nonsense that is left out":   append(join(frame, noise(15)), seekEntries(0, [2]uint32{n, 100_000}, [2]uint32{15, 0})...),
		"too many empty frames":       append(bytes.Repeat(zstdSkipped(0), seekMaxEmpty+1), seekEntries(0, slices.Repeat([][2]uint32{{8, 0}}, seekMaxEmpty+1)...)...),
		"an empty frame of 1 GiB":     with(seekEntries(0, [2]uint32{n, 100_000}, [2]uint32{1 << 30, 0})),
		"a sum that wraps":            with(seekEntries(0, [2]uint32{math.MaxUint32, 1}, [2]uint32{n + 1, 1})),
	} {
		var err error
		m := allocated(func() { _, err = OpenSeekable(bytes.NewReader(z), int64(len(z))) })
		if !errors.Is(err, ErrNotSeekable) {
			t.Errorf("%s: %v", what, err)
		}
		if m > 1<<20 {
			t.Errorf("%s: took %d KiB", what, m>>10)
		}
	}
}

// A table that fits the file, and not what is in it.
func TestATableThatLiesIsAnError(t *testing.T) {
	data := pages(300_000)
	a, b := zstdWhole(t, data[:200_000]), zstdWhole(t, data[200_000:])
	la, lb := uint32(len(a)), uint32(len(b))
	bad := flipLast(bytes.Clone(b))
	stream := zstdStream(t, data[:200_000]) // does not say what it holds
	for what, z := range map[string][]byte{
		"contents that are other ones":      append(join(a, b), seekEntries(0, [2]uint32{la, 200_001}, [2]uint32{lb, 99_999})...),
		"frames that are other ones":        append(join(a, b), seekEntries(0, [2]uint32{la + 1, 200_000}, [2]uint32{lb - 1, 100_000})...),
		"two frames in one":                 append(join(a, b), seekEntries(0, [2]uint32{la + lb, 300_000})...),
		"something behind a frame":          append(join(a, b), seekEntries(0, [2]uint32{la, 200_000}, [2]uint32{lb - 10, 100_000}, [2]uint32{10, 1})...),
		"content where there is none":       append(join(a, zstdSkipped(50)), seekEntries(0, [2]uint32{la, 200_000}, [2]uint32{58, 5})...),
		"content that is longer":            append(join(stream), seekEntries(0, [2]uint32{uint32(len(stream)), 200_001})...),
		"content that is shorter":           append(join(stream), seekEntries(0, [2]uint32{uint32(len(stream)), 199_999})...),
		"a wrong checksum of the last":      append(join(a, bad), seekEntries(0, [2]uint32{la, 200_000}, [2]uint32{lb, 100_000})...),
		"content of 16 MiB, claimed by few": append(join(stream[:30]), seekEntries(0, [2]uint32{30, seekMaxContent})...),
	} {
		s, err := OpenSeekable(bytes.NewReader(z), int64(len(z)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var got []byte
		n := allocated(func() { got, err = io.ReadAll(io.NewSectionReader(s, 0, s.Size())) })
		if err == nil || errors.Is(err, ErrNotSeekable) || errors.Is(err, io.ErrUnexpectedEOF) && !bytes.Contains([]byte(err.Error()), []byte("frame at byte")) {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.HasPrefix(data, got) {
			t.Errorf("%s: wrong data came out", what)
		}
		if n > 20<<20 {
			t.Errorf("%s: took %d MiB", what, n>>20)
		}
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestAFlippedBitOfASeekableFileIsFoundOrHarmless(t *testing.T) {
	_, data := small(t, Zstd)
	z := members(t, Spec{Algorithm: Zstd}, data)
	for bit := range len(z) * 8 {
		bad := bytes.Clone(z)
		bad[bit/8] ^= 1 << (bit % 8)
		s, err := OpenSeekable(bytes.NewReader(bad), int64(len(bad)))
		if err != nil {
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if err == nil && !bytes.Equal(got, data) {
			t.Errorf("bit %d of byte %d of %d was flipped, and wrong data came out without an error", bit%8, bit/8, len(z))
		}
	}
}

// changing is a file that another process changes.
type changing struct{ z []byte }

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(c.z).ReadAt(p, off)
}

func TestAFileThatChangesIsAnError(t *testing.T) {
	var z []byte
	var entries [][2]uint32
	for range seekGroup + 5 {
		frame := zstdRaw(3, "abc")
		z, entries = append(z, frame...), append(entries, [2]uint32{uint32(len(frame)), 3})
	}
	end := len(z)
	z = append(z, seekEntries(0, entries...)...)
	for what, change := range map[string]func(z []byte) []byte{
		"cut in the table": func(z []byte) []byte { return z[:end+100] },
		"cut in a frame":   func(z []byte) []byte { copy(z[:end], make([]byte, end)); return z },
		"larger entries": func(z []byte) []byte {
			binary.LittleEndian.PutUint32(z[end+8:], math.MaxUint32)
			binary.LittleEndian.PutUint32(z[end+12:], math.MaxUint32)
			return z
		},
		"empty entries": func(z []byte) []byte { clear(z[end+8 : end+8+8*seekGroup]); return z },
	} {
		file := &changing{bytes.Clone(z)}
		s, err := OpenSeekable(file, int64(len(z)))
		if err != nil {
			t.Fatal(err)
		}
		file.z = change(file.z)
		if n, err := s.ReadAt(make([]byte, 10), 0); err == nil {
			t.Errorf("%s: %d bytes without an error", what, n)
		}
	}
}

func TestAnErrorOfTheFileIsPassedOn(t *testing.T) {
	lost := errors.New("input/output error")
	z := members(t, Spec{Algorithm: Zstd}, pages(100_000))
	for fail := range 5 {
		r := &failing{ReaderAt: bytes.NewReader(z), left: fail, err: lost}
		s, err := OpenSeekable(r, int64(len(z)))
		if err == nil {
			_, err = s.ReadAt(make([]byte, 10), 0)
		}
		if fail < 4 && err != lost || fail == 4 && err != nil { // footer, header, entries, frame
			t.Errorf("failure after %d reads: %v", fail, err)
		}
	}
}

// failing fails after left reads.
type failing struct {
	io.ReaderAt
	left int
	err  error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	f.left--
	return f.ReaderAt.ReadAt(p, off)
}

// A steady state allocates nothing: memory is that of one frame, whatever is read.
func TestMemoryOfASeekableDoesNotGrow(t *testing.T) {
	data := pages(4 << 20)
	z := members(t, Spec{Algorithm: Zstd}, bytes.Repeat(data, 4))
	s, _ := openSeekable(t, z)
	buf := make([]byte, 64<<10)
	read := func() {
		for off := int64(0); off < s.Size(); off += int64(len(buf)) {
			if _, err := s.ReadAt(buf, off); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := allocated(read); n > 6<<20 {
		t.Errorf("the first pass through %d MiB took %d KiB", s.Size()>>20, n>>10)
	}
	if n := allocated(read); n > 256<<10 {
		t.Errorf("the second pass through %d MiB took %d KiB", s.Size()>>20, n>>10)
	}
}
