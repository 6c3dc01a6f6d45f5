package incremental_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/seeds"
)

// judge sees that what a decoder gives out has a place in the whole file.
type judge struct {
	t      *testing.T
	layout incremental.Layout
	h      *incremental.Header
	got    []byte
}

func (j *judge) Header(h *incremental.Header) error {
	if j.h != nil || int(h.Length()) > j.layout.SegmentBlocks || !slices.IsSorted(h.Blocks) {
		j.t.Errorf("header %+v", h)
	}
	j.h = h
	return nil
}

func (j *judge) Data(at int64, p []byte) error {
	if at != int64(len(j.got)) {
		j.t.Errorf("data at %d after %d bytes", at, len(j.got))
	}
	j.got = append(j.got, p...)
	size := int64(j.layout.BlockSize)
	return j.h.Extents(j.layout.BlockSize, at, p, func(offset int64, p []byte) error {
		for block := offset / size; block*size < offset+int64(len(p)); block++ {
			if _, listed := slices.BinarySearch(j.h.Blocks, uint32(block)); !listed {
				j.t.Errorf("block %d is not listed in %v", block, j.h.Blocks)
			}
		}
		return nil
	})
}

// FuzzDecoder: what is taken is, written again, what it was; what is not is named.
func FuzzDecoder(f *testing.F) {
	seeds.Require(f, 14)
	f.Add(build(small, 5, 1, 2), uint8(7), false)
	f.Add(build(small, 5), uint8(1), false)
	f.Add(build(small, 0, 0, 50, 99), uint8(200), false)
	f.Fuzz(func(t *testing.T, b []byte, piece uint8, server bool) {
		j := &judge{t: t, layout: small}
		if server {
			j.layout = incremental.DefaultLayout
		}
		d := incremental.NewDecoder(j.layout, "base/1/INCREMENTAL.2", int64(len(b)), j)
		var err error
		for rest := b; len(rest) > 0 && err == nil; {
			n := min(int(piece)+1, len(rest))
			_, err = d.Write(rest[:n])
			rest = rest[n:]
		}
		if closeErr := d.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			var format *incremental.FormatError
			if !errors.As(err, &format) || format.Name != "base/1/INCREMENTAL.2" {
				t.Errorf("the file is not named: %v", err)
			}
			return
		}
		start := j.layout.HeaderSize(len(j.h.Blocks))
		if want := build(j.layout, j.h.Truncation, j.h.Blocks...)[:start]; !bytes.Equal(b, append(want, j.got...)) {
			t.Errorf("%+v and %d bytes are not what was decoded", j.h, len(j.got))
		}
	})
}
