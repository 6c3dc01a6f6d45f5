package incremental

import "fmt"

// Handler gets the parts of an incremental file.
type Handler interface {
	// Header comes first, when it is complete and was checked.
	Header(h *Header) error
	// Data is a part of the blocks; at is where it belongs among them, in bytes
	// from the first block on. p is valid during the call.
	Data(at int64, p []byte) error
}

// Decoder takes an incremental file apart while it comes, in pieces of any size.
// It holds the block numbers, 512 KiB at the most for files of 1 GiB, and no
// block.
type Decoder struct {
	parser  headerParser
	handler Handler
	padding int64 // still to come
	left    int64 // bytes of blocks still to come
	at      int64
	header  bool // is complete
	err     error
}

// NewDecoder makes a decoder of a file of size bytes. Errors name it name.
func NewDecoder(l Layout, name string, size int64, handler Handler) *Decoder {
	return &Decoder{parser: headerParser{layout: l, name: name, size: size, count: -1}, handler: handler}
}

// Write takes the next piece. Errors stay: a *FormatError, or the handler's.
func (d *Decoder) Write(p []byte) (int, error) {
	if d.err == nil {
		d.err = d.take(p)
	}
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

func (d *Decoder) take(p []byte) error {
	if !d.header {
		rest, h, err := d.parser.take(p)
		if err != nil || h == nil {
			return err
		}
		n := len(h.Blocks)
		d.header, p = true, rest
		d.padding = d.parser.layout.HeaderSize(n) - fixedSize - wordSize*int64(n)
		d.left = int64(n) * int64(d.parser.layout.BlockSize)
		d.parser.buf = nil
		if err := d.handler.Header(h); err != nil {
			return err
		}
	}
	n := min(d.padding, int64(len(p)))
	for _, c := range p[:n] {
		if c != 0 {
			return d.parser.errorf("has something else than zeroes between its header and its blocks")
		}
	}
	d.padding -= n
	p = p[n:]
	if int64(len(p)) > d.left {
		return d.parser.errorf("is longer than its header says")
	}
	if len(p) == 0 {
		return nil
	}
	at := d.at
	d.at += int64(len(p))
	d.left -= int64(len(p))
	return d.handler.Data(at, p)
}

// Close tells whether all of the file came.
func (d *Decoder) Close() error {
	switch {
	case d.err != nil:
	case !d.header || d.left > 0 || d.padding > 0:
		d.err = d.parser.errorf("ends too early")
	}
	return d.err
}

// Extents cuts a part of a file's blocks into pieces that belong together in the
// whole file, and calls visit with the position of each there, in bytes.
func (h *Header) Extents(blockSize int, at int64, p []byte, visit func(offset int64, p []byte) error) error {
	size := int64(blockSize)
	for len(p) > 0 {
		i, in := at/size, at%size
		if i >= int64(len(h.Blocks)) {
			return fmt.Errorf("byte %d is behind the last of %d blocks", at, len(h.Blocks))
		}
		n := min(size-in, int64(len(p)))
		for last := i; n < int64(len(p)) && last+1 < int64(len(h.Blocks)) && h.Blocks[last+1] == h.Blocks[last]+1; last++ {
			n = min(n+size, int64(len(p)))
		}
		if err := visit(int64(h.Blocks[i])*size+in, p[:n]); err != nil {
			return err
		}
		at, p = at+n, p[n:]
	}
	return nil
}
