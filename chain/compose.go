package chain

import "sort"

// composer puts a file together while its whole version passes.
type composer struct {
	plan      *plan
	blockSize int64
	read      func(source int32, p []byte, at int64) error
	emit      func(p []byte) error
	buf       []byte // at least a block

	base int64 // how much of the whole version counts, in bytes
	pos  int64 // how much of the result was emitted
}

// begin begins a file whose whole version has size bytes.
func (c *composer) begin(p *plan, size int64) {
	c.plan, c.pos = p, 0
	c.base = min(size/c.blockSize, int64(p.limit)) * c.blockSize
}

// write takes the next piece of the whole version; own says that it may be
// written to.
func (c *composer) write(p []byte, own bool) error {
	p = p[:min(int64(len(p)), c.base-c.pos)]
	for len(p) > 0 {
		n := len(p)
		piece := p
		if next := c.next(); !own && next < c.pos+int64(n) {
			if next > c.pos {
				piece = p[:next-c.pos] // up to the first block that is replaced
			} else {
				piece = c.buf[:min(len(p), len(c.buf))]
				copy(piece, p)
			}
			n = len(piece)
		}
		if err := c.overlay(piece); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// end emits what lies behind the whole version.
func (c *composer) end() error {
	length := int64(c.plan.length) * c.blockSize
	for c.pos < length {
		piece := c.buf[:min(int64(len(c.buf)), length-c.pos)]
		clear(piece)
		if err := c.overlay(piece); err != nil {
			return err
		}
	}
	return nil
}

// first is the first extent that ends behind the current position.
func (c *composer) first() int {
	e := c.plan.extents
	return sort.Search(len(e), func(i int) bool { return int64(e[i].block+e[i].count)*c.blockSize > c.pos })
}

// next is where the next block that is replaced begins, or where the position is
// if it is in one.
func (c *composer) next() int64 {
	i := c.first()
	if i == len(c.plan.extents) {
		return int64(c.plan.length) * c.blockSize
	}
	return max(int64(c.plan.extents[i].block)*c.blockSize, c.pos)
}

// overlay puts the blocks of incremental files into p, which is for the current
// position, and emits it.
func (c *composer) overlay(p []byte) error {
	end := c.pos + int64(len(p))
	for i := c.first(); i < len(c.plan.extents); i++ {
		e := &c.plan.extents[i]
		from := int64(e.block) * c.blockSize
		if from >= end {
			break
		}
		to := min(from+int64(e.count)*c.blockSize, end)
		at := e.at
		if from < c.pos {
			at += c.pos - from
			from = c.pos
		}
		if err := c.read(e.source, p[from-c.pos:to-c.pos], at); err != nil {
			return err
		}
	}
	c.pos = end
	return c.emit(p)
}
