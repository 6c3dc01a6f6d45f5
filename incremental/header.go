package incremental

import (
	"encoding/binary"
	"fmt"
)

// Magic is the first word of every incremental file.
const Magic = 0xd3ae1f0d

// DefaultLayout is that of nearly all servers.
var DefaultLayout = Layout{BlockSize: 8192, SegmentBlocks: 131072}

// Layout is how the server was built, as its pg_control says.
type Layout struct {
	BlockSize     int // bytes
	SegmentBlocks int // blocks of a relation file at most
}

// Header says which blocks an incremental file holds.
type Header struct {
	// Truncation is the truncation block length: of the file as it was before,
	// the blocks from there on are not part of it any more. The file has at
	// least so many blocks.
	Truncation uint32
	// Blocks are the numbers of the blocks that follow, rising.
	Blocks []uint32
}

const (
	wordSize  = 4
	fixedSize = 3 * wordSize
)

// Length is how many blocks the whole file has: those before the truncation
// length, and as many more as the blocks here need.
func (h *Header) Length() uint32 {
	if n := len(h.Blocks); n > 0 {
		return max(h.Truncation, h.Blocks[n-1]+1)
	}
	return h.Truncation
}

// HeaderSize is how many bytes stand before the first block.
func (l Layout) HeaderSize(blocks int) int64 {
	size := fixedSize + wordSize*int64(blocks)
	if blocks == 0 {
		return size
	}
	b := int64(l.BlockSize)
	return (size + b - 1) / b * b
}

// FileSize is the size of an incremental file with so many blocks, in bytes.
func (l Layout) FileSize(blocks int) int64 {
	return l.HeaderSize(blocks) + int64(blocks)*int64(l.BlockSize)
}

// FormatError says what is wrong with an incremental file. The messages are
// pg_combinebackup's where it has one (reconstruct.c).
type FormatError struct {
	Name   string
	Reason string // behind `file "NAME" `
}

func (e *FormatError) Error() string { return fmt.Sprintf("file %q %s", e.Name, e.Reason) }

// headerParser gathers a header in pieces.
type headerParser struct {
	layout Layout
	name   string
	size   int64 // of the whole file
	buf    []byte
	count  int // of blocks; -1 = not known yet
}

// take consumes what belongs to the header without its padding, and returns the
// header when it is complete.
func (p *headerParser) take(b []byte) (rest []byte, h *Header, err error) {
	for {
		want := fixedSize
		if p.count >= 0 {
			want += wordSize * p.count
		}
		n := min(want-len(p.buf), len(b))
		p.buf = append(p.buf, b[:n]...)
		if b = b[n:]; len(p.buf) < want {
			return nil, nil, nil
		}
		if p.count >= 0 {
			h, err := p.blocks()
			return b, h, err
		}
		if err := p.fixed(); err != nil {
			return nil, nil, err
		}
	}
}

// fixed checks the three words that every file has.
func (p *headerParser) fixed() error {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(p.buf[wordSize*i:]) }
	if m := word(0); m != Magic {
		return p.errorf("has bad incremental magic number (0x%x not 0x%x)", m, uint32(Magic))
	}
	count, truncation := word(1), word(2)
	if limit := uint32(p.layout.SegmentBlocks); count > limit {
		return p.errorf("has block count %d in excess of segment size %d", count, limit)
	} else if truncation > limit {
		return p.errorf("has truncation block length %d in excess of segment size %d", truncation, limit)
	}
	if want := p.layout.FileSize(int(count)); p.size != want {
		return p.errorf("has %d bytes, but its %d blocks of %d bytes need %d", p.size, count, p.layout.BlockSize, want)
	}
	p.count = int(count)
	return nil
}

// blocks reads the block numbers.
func (p *headerParser) blocks() (*Header, error) {
	h := &Header{Truncation: binary.LittleEndian.Uint32(p.buf[2*wordSize:]), Blocks: make([]uint32, p.count)}
	for i := range h.Blocks {
		b := binary.LittleEndian.Uint32(p.buf[fixedSize+wordSize*i:])
		switch {
		case b >= uint32(p.layout.SegmentBlocks):
			return nil, p.errorf("has block number %d in excess of segment size %d", b, p.layout.SegmentBlocks)
		case i > 0 && b <= h.Blocks[i-1]:
			return nil, p.errorf("has block number %d after block number %d", b, h.Blocks[i-1])
		}
		h.Blocks[i] = b
	}
	return h, nil
}

func (p *headerParser) errorf(format string, args ...any) error {
	return &FormatError{p.name, fmt.Sprintf(format, args...)}
}
