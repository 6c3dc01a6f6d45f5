package tarstream

import "io"

// Splitter passes an archive on to a Writer, before a Parser takes the same bytes,
// and tells the Writer where members begin.
type Splitter struct {
	w     io.Writer
	marks Boundary // w
	p     *Parser
}

// NewSplitter makes a Splitter in front of w, which should be a Boundary, and p.
func NewSplitter(w io.Writer, p *Parser) *Splitter {
	marks, _ := w.(Boundary)
	return &Splitter{w: w, marks: marks, p: p}
}

// Write implements io.Writer. What p stops at has been written to w.
func (s *Splitter) Write(b []byte) (n int, err error) {
	if s.marks == nil {
		return s.both(b)
	}
	for n < len(b) && err == nil {
		next := s.p.UntilMember()
		if next == 0 {
			s.marks.Boundary()
			next = BlockSize
		}
		var m int
		m, err = s.both(b[n : n+int(min(next, int64(len(b)-n)))])
		n += m
	}
	return n, err
}

func (s *Splitter) both(b []byte) (n int, err error) {
	if n, err = s.w.Write(b); err != nil {
		return n, err
	}
	if n < len(b) {
		return n, io.ErrShortWrite
	}
	return s.p.Write(b)
}
