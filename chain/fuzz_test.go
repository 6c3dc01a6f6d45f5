package chain_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
)

// FuzzCompose puts a file together from what may be incremental files, in data
// directories and in tars: both must say the same, and what they accept must be
// what the definition says.
func FuzzCompose(f *testing.F) {
	dir := "testdata/compose"
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		f.Fatalf("there are no seeds: %v", err)
	}
	for _, e := range entries {
		seed, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte{1, 2, 3}, seed, seed)
		f.Add([]byte{}, changedSmall(2, 0, 3), seed)
		f.Add([]byte{9}, seed, changedSmall(0))
	}
	f.Fuzz(func(t *testing.T, full, older, newer []byte) {
		if len(full) > 64 || len(older) > 32<<10 || len(newer) > 32<<10 {
			return
		}
		var whole []byte
		for _, b := range full {
			whole = append(whole, bytes.Repeat([]byte{b}, smallBlock)...)
		}
		list := series(map[string][]byte{x: whole}, map[string][]byte{ix: older}, map[string][]byte{ix: newer})
		for _, b := range list {
			b.Control.BlockSize, b.Control.SegmentBlocks = smallBlock, 256
		}
		var results [2]string
		for i, form := range []form{plainForm, tarForm(codec.None)} {
			r, err := read(t, store(t, list, form), quiet(t), 1)
			if err != nil {
				continue // in what words does not matter here
			}
			results[i] = "accepted " + string(r.files[x])
		}
		if results[0] != results[1] {
			t.Fatalf("%d bytes from directories, %d from tars", len(results[0]), len(results[1]))
		}
		if results[0] == "" {
			return
		}
		if want := apply(t, apply(t, whole, older), newer); results[0] != "accepted "+string(want) {
			t.Fatalf("%d bytes instead of %d", len(results[0])-len("accepted "), len(want))
		}
	})
}

const smallBlock = 1024

var smallLayout = incremental.Layout{BlockSize: smallBlock, SegmentBlocks: 256}

func quiet(t testing.TB) chain.Options {
	o := readOptions(t)
	o.Note, o.Warn = nil, nil
	return o
}

// changedSmall is an incremental file of small blocks.
func changedSmall(truncation uint32, blocks ...uint32) []byte {
	by := map[uint32][]byte{}
	for _, n := range blocks {
		by[n] = bytes.Repeat([]byte{byte(100 + n)}, smallBlock)
	}
	return incrementalOf(smallBlock, truncation, by)
}

// applier applies an incremental file block by block.
type applier struct {
	h    *incremental.Header
	data []byte
}

func (a *applier) Header(h *incremental.Header) error { a.h = h; return nil }
func (a *applier) Data(_ int64, p []byte) error       { a.data = append(a.data, p...); return nil }
func (a *applier) blockAt(i int) []byte               { return a.data[i*smallBlock : (i+1)*smallBlock] }
func apply(t testing.TB, old, file []byte) (result []byte) {
	a := &applier{}
	d := incremental.NewDecoder(smallLayout, ix, int64(len(file)), a)
	if _, err := d.Write(file); err != nil {
		t.Fatalf("accepted, and yet: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatalf("accepted, and yet: %v", err)
	}
	result = make([]byte, int(a.h.Length())*smallBlock)
	copy(result[:int(a.h.Truncation)*smallBlock], old[:len(old)/smallBlock*smallBlock])
	for i, n := range a.h.Blocks {
		copy(result[int(n)*smallBlock:], a.blockAt(i))
	}
	return result
}
