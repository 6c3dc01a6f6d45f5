package codec

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"sync"
)

var errSection = errors.New("not a section")

// sectionReader has workers decompress the sections of members, several at a time.
//
// That a member is in sections is a hint, which anybody can write anywhere. A section's content is passed on only if it was decompressed
// without what is before it, and ends where its length says: any other reader gets the same from the same bytes then. Where that is not so
// (the input is cut off or corrupt, or has never been in sections) its bytes and those of all that was read ahead go back, and everything
// from there on is read like any other stream, which finds what is wrong, or that nothing is.
type sectionReader struct {
	z       *gzipReader
	out     *pieces
	window  []byte   // the last 32 KiB that were passed on
	pending []*piece // with the workers, or back from them; in order
	todo    chan *piece
	started int
	workers sync.WaitGroup
}

func (s *sectionReader) close() {
	if s.todo != nil {
		close(s.todo)
		s.workers.Wait()
	}
}

// read passes the sections of a member on. It ends with io.EOF at the end of the member's content, or without an error
// where the rest is to be read by inflate; more is false when the reader wants nothing more.
func (s *sectionReader) read() (more bool, err error) {
	if s.todo == nil {
		s.out.addRest()
		s.todo = make(chan *piece, cap(s.out.free))
	}
	for err == nil {
		n := s.z.sectionLength()
		if n == 0 {
			break
		}
		var p *piece
		if p, err = s.piece(); err != nil {
			break
		}
		if p == nil {
			return false, nil
		}
		s.cut(p, n)
	}
	for err == nil && len(s.pending) > 0 {
		<-s.pending[0].done
		err = s.pass()
	}
	if err == io.EOF && len(s.pending) == 0 {
		return true, io.EOF
	}
	s.giveUp()
	if err == io.EOF {
		return true, io.EOF
	}
	return true, nil
}

// sectionLength returns the length of the section that comes next, and reads nothing of it. It is 0 if there is none, or none that
// can be as long as the header says.
func (z *gzipReader) sectionLength() int {
	if z.more(len(sectionRecord)) != nil {
		return 0 // the error comes again
	}
	n := sectionLength(z.in[z.pos:z.end])
	if n > sectionLimit(z.section) {
		return 0
	}
	return n
}

// piece waits for a piece to fill, and passes sections on meanwhile, of which it returns the error. It is nil when the reader wants nothing more.
func (s *sectionReader) piece() (*piece, error) {
	for {
		if len(s.pending) == 0 {
			return s.out.get(), nil
		}
		select {
		case <-s.out.stop:
			return nil, nil
		case <-s.pending[0].done:
			if err := s.pass(); err != nil {
				return nil, err
			}
		case p := <-s.out.free:
			p.data, p.err = nil, nil
			return p, nil
		}
	}
}

// cut reads a section of n bytes for a worker.
func (s *sectionReader) cut(p *piece, n int) {
	if cap(p.in) < n+bitSlack {
		// The next ones may be a little longer.
		p.in = make([]byte, min(n+n/4, sectionLimit(s.z.section))+bitSlack)
	}
	if size := s.z.section + inflateRoom; cap(p.buf) < size {
		p.buf = make([]byte, size)
	}
	got, err := io.ReadFull(s.z.inflater, p.in[:n])
	p.in = p.in[:got]
	s.pending = append(s.pending, p)
	if err != nil {
		p.err = errSection
		p.done <- struct{}{}
		return
	}
	if s.started < readWorkers() {
		s.started++
		s.workers.Go(s.work)
	}
	s.todo <- p // there are no more pieces than it holds
}

func (s *sectionReader) work() {
	f := &inflater{part: true}
	for p := range s.todo {
		p.data, p.err = f.whole(p.in, p.buf)
		p.sum = crc32.ChecksumIEEE(p.data)
		p.done <- struct{}{}
	}
}

// whole decompresses all of in, behind which there must be room for bitSlack, into buf. At the end of a stream that is io.EOF.
func (f *inflater) whole(in, buf []byte) ([]byte, error) {
	f.in, f.pos, f.end, f.eof = in[:len(in)+bitSlack], 0, len(in), true
	clear(f.in[f.end:])
	f.reset()
	n, err := f.inflate(buf, 0, 0)
	switch {
	case err == errPartEnd:
		err = nil
	case err != io.EOF || f.pos != f.end:
		err = errSection
	}
	return buf[:n], err
}

// pass passes the first section on, which is back from its worker. At the end of the member's content it returns io.EOF, and errSection if it
// is not a section, which is not passed on then.
func (s *sectionReader) pass() error {
	p := s.pending[0]
	end := p.err
	if end == errSection {
		p.done <- struct{}{} // for giveUp
		return end
	}
	copy(s.pending, s.pending[1:])
	s.pending = s.pending[:len(s.pending)-1]
	s.z.sum = crcJoin(s.z.sum, p.sum, len(p.data))
	s.z.size += uint64(len(p.data))
	last := p.data[max(0, len(p.data)-gzipWindow):]
	keep := s.window[max(0, len(s.window)+len(last)-gzipWindow):]
	s.window = append(append(s.window[:0], keep...), last...)
	p.err = nil
	s.out.put(p)
	return end
}

// giveUp has the rest of the input read without sections. What has been read already comes again.
func (s *sectionReader) giveUp() {
	var again []io.Reader
	for _, p := range s.pending {
		<-p.done
		again = append(again, bytes.NewReader(p.in))
		s.out.free <- p // from now on nothing else uses its input
	}
	s.pending = nil
	s.z.plain, s.z.section = true, 0
	if len(again) > 0 {
		s.z.inflater = newInflater(io.MultiReader(append(again, s.z.inflater)...))
	}
}
