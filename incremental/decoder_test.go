package incremental_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/incremental"
)

var small = incremental.Layout{BlockSize: 64, SegmentBlocks: 100}

// build makes an incremental file in which each block is filled with its number.
func build(l incremental.Layout, truncation uint32, blocks ...uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, incremental.Magic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(blocks)))
	b = binary.LittleEndian.AppendUint32(b, truncation)
	for _, n := range blocks {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	b = append(b, make([]byte, l.HeaderSize(len(blocks))-int64(len(b)))...)
	for _, n := range blocks {
		b = append(b, bytes.Repeat([]byte{byte(n)}, l.BlockSize)...)
	}
	return b
}

// collector writes what it gets into a file in memory.
type collector struct {
	h    *incremental.Header
	file []byte
	runs []string
}

func (c *collector) Header(h *incremental.Header) error {
	c.h, c.file = h, make([]byte, int(h.Length())*small.BlockSize)
	return nil
}

func (c *collector) Data(at int64, p []byte) error {
	return c.h.Extents(small.BlockSize, at, p, func(offset int64, p []byte) error {
		c.runs = append(c.runs, fmt.Sprintf("%d+%d", offset, len(p)))
		copy(c.file[offset:], p)
		return nil
	})
}

func decode(b []byte, piece int) (*collector, error) {
	c := &collector{}
	d := incremental.NewDecoder(small, "base/1/INCREMENTAL.2", int64(len(b)), c)
	for len(b) > 0 {
		n := min(piece, len(b))
		if _, err := d.Write(b[:n]); err != nil {
			return c, err
		}
		b = b[n:]
	}
	return c, d.Close()
}

func TestBlocksAreFoundInPiecesOfAnySize(t *testing.T) {
	for _, blocks := range [][]uint32{{}, {0}, {7}, {1, 2, 3, 9}, {0, 2, 4, 5, 99}} {
		b := build(small, 5, blocks...)
		for piece := 1; piece <= len(b); piece++ {
			c, err := decode(b, piece)
			if err != nil {
				t.Fatalf("%v in pieces of %d: %v", blocks, piece, err)
			}
			want := make([]byte, int(c.h.Length())*small.BlockSize)
			for _, n := range blocks {
				copy(want[int(n)*small.BlockSize:], bytes.Repeat([]byte{byte(n)}, small.BlockSize))
			}
			if !bytes.Equal(c.file, want) {
				t.Fatalf("%v in pieces of %d: wrong blocks", blocks, piece)
			}
		}
	}
}

func TestNeighboursAreOneExtent(t *testing.T) {
	c, err := decode(build(small, 0, 1, 2, 3, 9), 1<<20)
	if got := strings.Join(c.runs, " "); err != nil || got != "64+192 576+64" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestLengthIsWhatTruncationAndBlocksNeed(t *testing.T) {
	for _, c := range []struct {
		h    incremental.Header
		want uint32
	}{
		{incremental.Header{Truncation: 7}, 7},
		{incremental.Header{Truncation: 7, Blocks: []uint32{2}}, 7},
		{incremental.Header{Truncation: 7, Blocks: []uint32{2, 7}}, 8},
		{incremental.Header{}, 0},
	} {
		if got := c.h.Length(); got != c.want {
			t.Errorf("%+v has %d blocks, not %d", c.h, got, c.want)
		}
	}
}

func TestDamageIsRefusedByName(t *testing.T) {
	good := build(small, 5, 1, 2)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	put := func(i int, v uint32) []byte {
		return change(func(b []byte) []byte { binary.LittleEndian.PutUint32(b[4*i:], v); return b })
	}
	for want, b := range map[string][]byte{
		"has bad incremental magic number (0xd3ae1f0e not 0xd3ae1f0d)":  put(0, 0xd3ae1f0e),
		"has block count 101 in excess of segment size 100":             put(1, 101),
		"has truncation block length 101 in excess of segment size 100": put(2, 101),
		"has block number 100 in excess of segment size 100":            put(4, 100),
		"has block number 1 after block number 1":                       put(4, 1),
		"has 192 bytes, but its 3 blocks of 64 bytes need 256":          put(1, 3),
		"has 191 bytes, but its 2 blocks of 64 bytes need 192":          good[:len(good)-1],
		"ends too early": good[:11],
		"has something else than zeroes between its header and its blocks": change(func(b []byte) []byte { b[63] = 1; return b }),
	} {
		_, err := decode(b, 17)
		var format *incremental.FormatError
		if !errors.As(err, &format) || err.Error() != `file "base/1/INCREMENTAL.2" `+want {
			t.Errorf("wanted %q, got %v", want, err)
		}
	}
}

func TestOnlyRelationFilesAreIncremental(t *testing.T) {
	for name, want := range map[string]string{
		"base/5/INCREMENTAL.1259":                              "base/5/1259",
		"global/INCREMENTAL.1262_vm":                           "global/1262_vm",
		"pg_tblspc/16385/PG_18_202506291/5/INCREMENTAL.2619.1": "pg_tblspc/16385/PG_18_202506291/5/2619.1",
		"INCREMENTAL.config":                                   "",
		"pg_wal/INCREMENTAL.1":                                 "",
		"base/INCREMENTAL.1":                                   "",
		"global/x/INCREMENTAL.1":                               "",
		"base/5/INCREMENTAL.":                                  "",
		"base/5/1259":                                          "",
	} {
		got, ok := incremental.Target(name)
		if got != want || ok != (want != "") {
			t.Errorf("%q is for %q, %v", name, got, ok)
		}
		if ok && incremental.Name(got) != name {
			t.Errorf("%q leads back to %q", got, incremental.Name(got))
		}
	}
}
