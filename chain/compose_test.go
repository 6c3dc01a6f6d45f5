package chain

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/incremental"
)

var smallLayout = incremental.Layout{BlockSize: 1024, SegmentBlocks: 256}

// decoded is an incremental file.
type decoded struct {
	h    *incremental.Header
	data []byte
}

func (d *decoded) Header(h *incremental.Header) error { d.h = h; return nil }
func (d *decoded) Data(_ int64, p []byte) error       { d.data = append(d.data, p...); return nil }

// apply is the definition: the file that an incremental file makes of an older
// one.
func (d *decoded) apply(old []byte) []byte {
	size := smallLayout.BlockSize
	result := make([]byte, int(d.h.Length())*size)
	copy(result[:int(d.h.Truncation)*size], old[:len(old)/size*size])
	for i, n := range d.h.Blocks {
		copy(result[int(n)*size:], d.data[i*size:(i+1)*size])
	}
	return result
}

// putTogether puts a file together from the newest incremental file to the whole
// one, which comes in pieces.
func putTogether(layers []*decoded, full []byte, piece int, own, packed bool) ([]byte, error) {
	size := smallLayout.BlockSize
	var p plan
	var contents [][]byte
	for i, l := range layers {
		if i == 0 {
			p.begin(l.h)
		}
		indexes := p.wanted(l.h, nil)
		content, at := l.data, func(index, _ int) int64 { return int64(index * size) }
		if packed {
			content, at = nil, func(_, kept int) int64 { return int64(kept * size) }
			for _, i := range indexes {
				content = append(content, l.data[int(i)*size:(int(i)+1)*size]...)
			}
		}
		if len(indexes) > 0 {
			contents = append(contents, content)
		}
		p.add(l.h, indexes, size, source{}, at)
	}
	var result []byte
	c := composer{blockSize: int64(size), buf: make([]byte, 3*size),
		emit: func(p []byte) error { result = append(result, p...); return nil },
		read: func(source int32, p []byte, at int64) error {
			if copy(p, contents[source][at:]) < len(p) {
				return errors.New("read behind the end")
			}
			return nil
		},
	}
	c.begin(&p, int64(len(full)))
	if p.unchanged(int64(len(full)), size) != (len(p.extents) == 0 && p.limit == p.length && len(full) == int(p.length)*size) {
		return nil, errors.New("unchanged is wrong")
	}
	full = bytes.Clone(full)
	for len(full) > 0 {
		n := min(piece, len(full))
		before := bytes.Clone(full[:n])
		if err := c.write(full[:n], own); err != nil {
			return nil, err
		}
		if !own && !bytes.Equal(before, full[:n]) {
			return nil, errors.New("what belongs to another was written to")
		}
		full = full[n:]
	}
	return result, c.end()
}

// FuzzCompose puts a file together from what may be incremental files, in pieces
// of any size, and compares the result with the definition.
func FuzzCompose(f *testing.F) {
	entries, err := os.ReadDir("testdata/compose")
	if err != nil || len(entries) == 0 {
		f.Fatalf("there are no seeds: %v", err)
	}
	var seeds [][]byte
	for _, e := range entries {
		seed, err := os.ReadFile(filepath.Join("testdata/compose", e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	for _, older := range seeds {
		for _, newer := range seeds {
			f.Add([]byte{1, 2, 3}, older, newer, uint16(700))
			f.Add([]byte{}, older, newer, uint16(5000))
		}
	}
	f.Fuzz(func(t *testing.T, full, older, newer []byte, piece uint16) {
		if len(full) > 300 {
			return
		}
		var whole []byte
		for _, b := range full {
			whole = append(whole, bytes.Repeat([]byte{b}, smallLayout.BlockSize)...)
		}
		whole = append(whole, full...) // half a block
		var layers []*decoded
		for _, file := range [][]byte{newer, older} {
			l := &decoded{}
			d := incremental.NewDecoder(smallLayout, "base/5/INCREMENTAL.1", int64(len(file)), l)
			_, err := d.Write(file)
			if err == nil {
				err = d.Close()
			}
			if err != nil {
				var format *incremental.FormatError
				if !errors.As(err, &format) {
					t.Fatal(err)
				}
				return
			}
			layers = append(layers, l)
		}
		want := layers[0].apply(layers[1].apply(whole))
		for _, own := range []bool{false, true} {
			for _, packed := range []bool{false, true} {
				got, err := putTogether(layers, whole, int(piece)+1, own, packed)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("own %v, packed %v: %d bytes instead of %d: %v", own, packed, len(got), len(want), err)
				}
			}
		}
	})
}
