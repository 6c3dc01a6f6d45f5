package incremental

import "io"

// File is what an Applier changes; *os.File is one.
type File interface {
	io.WriterAt
	Truncate(size int64) error
}

// Applier brings a relation file, in place, to the state that an incremental file
// tells of: it is the Handler for that file's Decoder. What comes out is what
// pg_combinebackup makes of the two (reconstruct.c): the blocks that the incremental
// file holds; below its truncation block length, the file's own; zeroes elsewhere.
//
// After an error, or when the Decoder's Close returns one, the file is neither what it
// was nor what it should become.
type Applier struct {
	File      File
	BlockSize int   // bytes
	Size      int64 // of the file as it is, in bytes; afterwards, as it has become
	// Before is called before the first change, if there is one. An error leaves the
	// file as it is. It may be nil.
	Before func() error
	// Changed tells whether the file has been changed.
	Changed bool

	header *Header
}

// Header implements Handler.
func (a *Applier) Header(h *Header) error {
	a.header = h
	block := int64(a.BlockSize)
	// A block that the file has only a part of is none.
	keep := min(a.Size/block*block, int64(h.Truncation)*block)
	size := int64(h.Length()) * block
	if len(h.Blocks) == 0 && keep == a.Size && size == a.Size {
		return nil
	}
	if a.Before != nil {
		if err := a.Before(); err != nil {
			return err
		}
	}
	a.Changed = true
	// What is cut off must not come back when the file grows.
	for _, to := range []int64{keep, size} {
		if to == a.Size {
			continue
		}
		if err := a.File.Truncate(to); err != nil {
			return err
		}
		a.Size = to
	}
	return nil
}

// Data implements Handler.
func (a *Applier) Data(at int64, p []byte) error {
	return a.header.Extents(a.BlockSize, at, p, func(offset int64, p []byte) error {
		_, err := a.File.WriteAt(p, offset)
		return err
	})
}
