package tarstream

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Parser takes an archive apart as it is written to it and calls a Visitor.
// Content reaches the visitor as parts of the slices given to Write, uncopied.
//
// Names that CheckName and links that CheckLink refuse are errors, so that no
// visitor sees them. Errors are a *FormatError or the visitor's own, and stay.
//
// What NewLenientParser makes reads more formats, see there.
type Parser struct {
	v       Visitor
	err     error
	lenient *lenient // nil for archives of servers

	state     parserState
	off       int64 // bytes consumed
	have      int   // bytes of the current block that are there
	remaining int64 // bytes of content to come
	padding   int   // bytes of padding to come
	members   bool  // there was one

	block  [BlockSize]byte // the current block, gathered
	header Header
	parsed parsedHeader
}

type parserState int

const (
	inHeader parserState = iota
	inContent
	inPadding
	inExtension // content of a header that describes the next member
	inTrailer   // one zero block was there
	atEnd       // both were
)

var (
	errTrailing   = errors.New("data after the end of the archive")
	errLoneZero   = errors.New("a single zero block is followed by data")
	errNoTrailer  = fmt.Errorf("archive has no end-of-archive blocks: %w", io.ErrUnexpectedEOF)
	errShortBlock = fmt.Errorf("archive ends inside a header: %w", io.ErrUnexpectedEOF)
)

// NewParser makes a Parser that calls v.
func NewParser(v Visitor) *Parser { return &Parser{v: v} }

// Offset is how many bytes of the archive were taken. While Visitor.Member is
// called that is where the member's content begins.
func (p *Parser) Offset() int64 { return p.off }

// UntilMember is how many bytes are sure to come before the next member begins,
// with the headers that belong to it; 0 says that the next byte is its first, or
// the first of the end of the archive. Inside of a header it is what that lacks:
// only then it is known what follows.
func (p *Parser) UntilMember() int64 {
	switch p.state {
	case inContent, inExtension:
		return p.rest()
	case inPadding:
		return int64(p.padding)
	case atEnd:
		return math.MaxInt64
	}
	if p.have == 0 && p.state == inHeader && p.lenient.unused() == nil {
		return 0
	}
	return int64(BlockSize - p.have)
}

// rest is how many bytes of content and padding are to come.
func (p *Parser) rest() int64 {
	return min(p.remaining, math.MaxInt64-BlockSize) + int64(p.padding)
}

// Skip ends a member whose content has not begun to come, as if that had passed:
// the visitor gets none of it. It returns how many bytes of the archive, content
// and padding, are not to be written then. Without such a member it does nothing.
func (p *Parser) Skip() (int64, error) {
	if p.err != nil || p.state != inContent || p.remaining != p.header.Size {
		return 0, p.err
	}
	n := min(p.rest(), math.MaxInt64-p.off) // more is not there
	p.off += n
	p.remaining, p.padding = 0, 0
	p.err = p.endMember()
	return n, p.err
}

// Write takes the next bytes of the archive.
func (p *Parser) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n := 0
	for n < len(b) {
		m, err := p.step(b[n:])
		n += m
		if err != nil {
			p.err = err
			return n, err
		}
	}
	return n, nil
}

// step consumes at least one byte of b, and not more than belong to one state.
func (p *Parser) step(b []byte) (n int, err error) {
	switch p.state {
	case inHeader, inTrailer:
		n = copy(p.block[p.have:], b)
		p.off += int64(n)
		if p.have += n; p.have == BlockSize {
			p.have = 0
			err = p.endBlock()
		}
	case inContent:
		n = len(b)
		if int64(n) > p.remaining {
			n = int(p.remaining)
		}
		p.off += int64(n)
		p.remaining -= int64(n)
		if err = p.v.Content(b[:n:n]); err == nil && p.remaining == 0 {
			err = p.endMember()
		}
	case inPadding:
		n = min(len(b), p.padding)
		p.off += int64(n)
		if p.padding -= n; p.padding == 0 {
			p.state = inHeader
		}
	case inExtension:
		n = len(b)
		if int64(n) > p.remaining {
			n = int(p.remaining)
		}
		p.off += int64(n)
		p.remaining -= int64(n)
		p.lenient.buf = append(p.lenient.buf, b[:n]...)
		if p.remaining == 0 {
			err = p.endExtension()
		}
	case atEnd:
		n = len(b)
		if i := firstNonZero(b); i >= 0 {
			return i, &FormatError{Offset: p.off + int64(i), Err: errTrailing}
		}
		p.off += int64(n)
	}
	return n, err
}

// endBlock looks at a whole header block, or what stands in its place.
func (p *Parser) endBlock() error {
	at := p.off - BlockSize
	if p.block == zeroBlock {
		if err := p.lenient.unused(); err != nil {
			return &FormatError{Offset: at, Err: err}
		}
		if p.state == inTrailer {
			p.state = atEnd
		} else {
			p.state = inTrailer
		}
		return nil
	}
	if p.state == inTrailer {
		return &FormatError{Offset: at, Err: errLoneZero}
	}
	if p.lenient != nil {
		if extension, err := p.lenientHeader(); extension || err != nil {
			return err
		}
	} else if err := p.serverHeader(); err != nil {
		return &FormatError{Offset: at, Err: err}
	}
	p.members = true
	h := &p.header
	p.remaining = h.Size
	p.padding = paddingOf(h.Size)
	if err := p.v.Member(h); err != nil {
		return err
	}
	if h.Size == 0 {
		return p.endMember()
	}
	p.state = inContent
	return nil
}

// serverHeader reads the block as the header of a member.
func (p *Parser) serverHeader() error {
	if err := p.parsed.parse(&p.block); err != nil {
		return err
	}
	p.header = p.parsed.fields
	p.header.parsed = &p.parsed
	h := &p.header
	if err := CheckName(h.Name); err != nil {
		return err
	}
	if h.Type == Symlink {
		return CheckLink(h.Name, h.Linkname)
	}
	return nil
}

func (p *Parser) endMember() error {
	p.state = inHeader
	if p.padding > 0 {
		p.state = inPadding
	}
	return p.v.EndMember()
}

// Close says whether the archive was complete. It wraps io.ErrUnexpectedEOF if
// the archive ends inside a member or without its two zero blocks, which
// LenientOptions.Unterminated can allow. What the visitor wrote to is not closed.
func (p *Parser) Close() error {
	if p.err == os.ErrClosed {
		return nil
	}
	if p.err != nil {
		return p.err
	}
	e := &FormatError{Offset: p.off}
	switch {
	case p.state == atEnd:
		p.err = os.ErrClosed
		return nil
	case p.state == inContent:
		e.Name = p.header.Name
		e.Err = fmt.Errorf("archive ends with %d of the member's %d bytes to come: %w",
			p.remaining, p.header.Size, io.ErrUnexpectedEOF)
	case p.state == inExtension:
		e.Err = fmt.Errorf("archive ends inside an extended header: %w", io.ErrUnexpectedEOF)
	case p.state == inPadding && p.lenient.unused() != nil:
		e.Err = fmt.Errorf("archive ends inside the padding of an extended header: %w", io.ErrUnexpectedEOF)
	case p.state == inPadding:
		e.Name = p.header.Name
		e.Err = fmt.Errorf("archive ends inside the member's padding: %w", io.ErrUnexpectedEOF)
	case p.state == inHeader && p.have > 0:
		e.Err = errShortBlock
	case p.state == inHeader && p.lenient.unused() != nil:
		e.Err = fmt.Errorf("archive ends after an extended header: %w", io.ErrUnexpectedEOF)
	case p.members && p.have == 0 && p.lenient.unterminated():
		p.err = os.ErrClosed
		return nil
	default:
		e.Err = errNoTrailer
	}
	p.err = e
	return e
}

// paddingOf is how many bytes follow content of the given size up to the next
// block.
func paddingOf(size int64) int { return int(-size & (BlockSize - 1)) }

func firstNonZero(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return -1
}
