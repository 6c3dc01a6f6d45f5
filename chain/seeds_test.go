package chain_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
)

func TestDirectoriesAndTarsAgreeOnWhatIsAccepted(t *testing.T) {
	dir := "testdata/compose"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for _, e := range entries {
		newer, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		whole, older := bytes.Repeat([]byte("abc\n"), smallBlock), changedSmall(3, 0, 3)
		list := series(map[string][]byte{x: whole}, map[string][]byte{ix: older}, map[string][]byte{ix: newer})
		for _, b := range list {
			b.Control.BlockSize, b.Control.SegmentBlocks = smallBlock, 256
		}
		var results [2]string
		for i, form := range []form{plainForm, tarForm(codec.None)} {
			if r, err := read(t, store(t, list, form), readOptions(t), 1); err == nil {
				results[i] = "accepted " + string(r.files[x])
			}
		}
		if results[0] != results[1] {
			t.Errorf("%s: %d bytes from directories, %d from tars", e.Name(), len(results[0]), len(results[1]))
		}
		if results[0] == "" {
			continue
		}
		accepted++
		if want := apply(t, apply(t, whole, older), newer); results[0] != "accepted "+string(want) {
			t.Errorf("%s: %d bytes instead of %d", e.Name(), len(results[0])-len("accepted "), len(want))
		}
	}
	if accepted != 4 {
		t.Errorf("%d of the files were accepted", accepted)
	}
}

const smallBlock = 1024

var smallLayout = incremental.Layout{BlockSize: smallBlock, SegmentBlocks: 256}

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
