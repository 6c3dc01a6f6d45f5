package incremental_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pgbasin/pgbasin/incremental"
)

// tiny makes the model's cases quick.
var tiny = incremental.Layout{BlockSize: 64, SegmentBlocks: 12}

// memory is a file.
type memory struct {
	b      []byte
	writes int
	after  int // writes and truncations until everything fails; -1 = never
}

var errFull = errors.New("full")

func (m *memory) spend() error {
	if m.writes++; m.after >= 0 && m.writes > m.after {
		return errFull
	}
	return nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if err := m.spend(); err != nil {
		return 0, err
	}
	if need := int(at) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[at:], p), nil
}

func (m *memory) Truncate(size int64) error {
	if err := m.spend(); err != nil {
		return err
	}
	if int(size) > len(m.b) {
		m.b = append(m.b, make([]byte, int(size)-len(m.b))...)
	}
	m.b = m.b[:size:size]
	return nil
}

// increment is an incremental file in the simplest terms.
type increment struct {
	truncation int
	blocks     map[int][]byte
}

func (i *increment) bytes(l incremental.Layout) []byte {
	var b, content []byte
	word := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	word(incremental.Magic)
	word(len(i.blocks))
	word(i.truncation)
	for n := range l.SegmentBlocks {
		if block, ok := i.blocks[n]; ok {
			word(n)
			content = append(content, block...)
		}
	}
	for len(i.blocks) > 0 && len(b)%l.BlockSize != 0 {
		b = append(b, 0)
	}
	return append(b, content...)
}

// model is what must come of a file, block by block.
func (i *increment) model(old []byte, l incremental.Layout) []byte {
	length := i.truncation
	for n := range i.blocks {
		length = max(length, n+1)
	}
	var out []byte
	for n := range length {
		block := make([]byte, l.BlockSize)
		switch new, ok := i.blocks[n]; {
		case ok:
			copy(block, new)
		case n < i.truncation && (n+1)*l.BlockSize <= len(old):
			copy(block, old[n*l.BlockSize:])
		}
		out = append(out, block...)
	}
	return out
}

func randomCase(r *rand.Rand, l incremental.Layout) (old []byte, i increment) {
	fill := func(n int) []byte {
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(1 + r.IntN(255))
		}
		return b
	}
	old = fill(r.IntN(l.SegmentBlocks+1) * l.BlockSize)
	if r.IntN(8) == 0 {
		old = append(old, fill(r.IntN(l.BlockSize))...)
	}
	i = increment{truncation: r.IntN(l.SegmentBlocks + 1), blocks: map[int][]byte{}}
	if r.IntN(3) == 0 {
		i.truncation = len(old) / l.BlockSize
	}
	for range r.IntN(l.SegmentBlocks) * r.IntN(2) {
		i.blocks[r.IntN(l.SegmentBlocks)] = fill(l.BlockSize)
	}
	return old, i
}

// apply brings a file to what b says, in pieces.
func apply(file *memory, b []byte, l incremental.Layout, piece func() int, before func() error) (*incremental.Applier, error) {
	a := &incremental.Applier{File: file, BlockSize: l.BlockSize, Size: int64(len(file.b)), Before: before}
	d := incremental.NewDecoder(l, "base/1/INCREMENTAL.2", int64(len(b)), a)
	for len(b) > 0 {
		n := min(piece(), len(b))
		if _, err := d.Write(b[:n]); err != nil {
			return a, err
		}
		b = b[n:]
	}
	return a, d.Close()
}

func TestAFileBecomesWhatTheModelSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	unchanged := 0
	for n := range 20000 {
		old, i := randomCase(r, tiny)
		file := &memory{b: bytes.Clone(old), after: -1}
		told := 0
		a, err := apply(file, i.bytes(tiny), tiny, func() int { return 1 + r.IntN(200) }, func() error {
			if told++; !bytes.Equal(file.b, old) {
				t.Error("told after a change")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := i.model(old, tiny); !bytes.Equal(file.b, want) || a.Size != int64(len(want)) {
			t.Fatalf("case %d: file of %d bytes, truncation %d, %d blocks: got %d bytes, said %d, want %d", n, len(old), i.truncation, len(i.blocks), len(file.b), a.Size, len(want))
		}
		if a.Changed != (file.writes > 0) || told != min(file.writes, 1) {
			t.Fatalf("case %d: changed %v, told %d times, %d writes", n, a.Changed, told, file.writes)
		}
		if !a.Changed {
			unchanged++
		}
	}
	if unchanged == 0 || unchanged == 20000 {
		t.Errorf("%d cases of no change", unchanged)
	}
}

// A refusal to begin leaves the file alone.
func TestNothingIsChangedWhenBeforeFails(t *testing.T) {
	refused := errors.New("refused")
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		old, i := randomCase(r, tiny)
		file := &memory{b: bytes.Clone(old), after: -1}
		a, err := apply(file, i.bytes(tiny), tiny, func() int { return 100 }, func() error { return refused })
		if !bytes.Equal(file.b, old) || (err == nil) != bytes.Equal(i.model(old, tiny), old) || err != nil && err != refused || a.Changed {
			t.Fatalf("%v, changed %v", err, a.Changed)
		}
	}
}

// Wherever it stops, the error is reported, and the file is as it was only if nothing was
// to be changed.
func TestErrorsOfTheFileAreReported(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		old, i := randomCase(r, tiny)
		file := &memory{b: bytes.Clone(old), after: r.IntN(3)}
		_, err := apply(file, i.bytes(tiny), tiny, func() int { return 1 + r.IntN(100) }, nil)
		if failed := file.writes > file.after; failed != (err == errFull) {
			t.Fatalf("%v after %d writes of %d", err, file.writes, file.after)
		}
	}
}

// Whatever an incremental file holds, the file is as the model says or there is an error,
// and never larger than a segment.
func FuzzApplier(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 8 {
		old, i := randomCase(r, tiny)
		f.Add(old, i.bytes(tiny), 50)
	}
	f.Fuzz(func(t *testing.T, old, b []byte, piece int) {
		if piece < 1 || len(old) > tiny.BlockSize*tiny.SegmentBlocks {
			return
		}
		file := &memory{b: bytes.Clone(old), after: -1}
		_, err := apply(file, b, tiny, func() int { return piece }, nil)
		if len(file.b) > max(len(old), tiny.BlockSize*tiny.SegmentBlocks) {
			t.Fatalf("%d bytes", len(file.b))
		}
		if err != nil {
			return
		}
		i := increment{truncation: int(binary.LittleEndian.Uint32(b[8:])), blocks: map[int][]byte{}}
		count := int(binary.LittleEndian.Uint32(b[4:]))
		content := b[tiny.HeaderSize(count):]
		for n := range count {
			i.blocks[int(binary.LittleEndian.Uint32(b[12+4*n:]))] = content[n*tiny.BlockSize:][:tiny.BlockSize]
		}
		if !bytes.Equal(file.b, i.model(old, tiny)) {
			t.Error("not what the model says")
		}
	})
}
