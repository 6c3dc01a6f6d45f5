package wal

import (
	"errors"
	"io"
	"io/fs"

	"github.com/pgbasin/pgbasin/lsn"
)

// chunkSize is how much is read from a segment at once, in bytes: a multiple of
// every block size.
const chunkSize = 256 << 10

// maxIdleReads is how often in a row a stream may return nothing at all.
const maxIdleReads = 100

// segment is the stream of pages of the open segment.
type segment struct {
	rc      io.ReadCloser // nil when none is open
	tli     uint32        // in its name
	no      uint64
	limit   lsn.LSN // from here on its content belongs to no timeline that is wanted; 0 is none
	partial bool

	buf  []byte // chunkSize
	r, w int    // what of buf is read and not yet handed out
	next int64  // offset in the segment of the page that buf[r:] begins with
	err  error  // that ended the reading; handed out after what was read before
}

// openSegment opens the file that the server would read the segment from: that of
// the newest timeline that has it, of those that begin before its end
// (XLogFileReadAnyTLI in the server's xlogrecovery.c).
func (r *Reader) openSegment(no uint64) error {
	r.closeSegment()
	s := &r.seg
	var rc io.ReadCloser
	var err error
	for i := len(r.opt.History); i >= 0; i-- {
		tli, limit := r.opt.Timeline, lsn.LSN(0)
		if i < len(r.opt.History) {
			tli, limit = r.opt.History[i].Timeline, r.opt.History[i].End
		}
		start := SegmentStart(no, r.segSize)
		if limit != 0 && start >= limit {
			break // this and all older ones ended before
		}
		if i > 0 && uint64(start)+uint64(r.segSize) <= uint64(r.opt.History[i-1].End) {
			continue // it begins in a later segment
		}
		rc, err = r.src.OpenSegment(tli, no)
		if err == nil {
			s.rc, s.tli, s.no, s.limit = rc, tli, no, limit
			s.next, s.r, s.w, s.err = 0, 0, 0, nil
			p, ok := rc.(PartialSegment)
			s.partial = ok && p.Partial()
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.tli = tli
			return err
		}
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return err
}

// newest is the timeline whose file is the first that openSegment tries.
func (r *Reader) newest(no uint64) uint32 {
	end := uint64(SegmentStart(no, r.segSize)) + uint64(r.segSize)
	for i := len(r.opt.History); i > 0; i-- {
		if end > uint64(r.opt.History[i-1].End) {
			if i == len(r.opt.History) {
				return r.opt.Timeline
			}
			return r.opt.History[i].Timeline
		}
	}
	if len(r.opt.History) > 0 {
		return r.opt.History[0].Timeline
	}
	return r.opt.Timeline
}

func (r *Reader) closeSegment() {
	if r.seg.rc != nil {
		// Nothing was written and all that counts was read: the error of a
		// close has nothing to say.
		_ = r.seg.rc.Close()
		r.seg.rc = nil
	}
	r.page = nil
}

// skipTo moves to the page at an offset without looking at those before it.
func (s *segment) skipTo(off int64, block int) error {
	if skip := off - s.next; skip > int64(s.w-s.r) {
		if seeker, ok := s.rc.(io.Seeker); ok {
			if _, err := seeker.Seek(off, io.SeekStart); err == nil {
				s.r, s.w, s.next, s.err = 0, 0, off, nil
				return nil
			}
		}
	}
	for s.next < off {
		if _, err := s.nextPage(block); err != nil {
			return err
		}
	}
	return nil
}

// nextPage returns the next page; it is valid until the one after it is asked
// for. io.EOF means that the segment ends before the whole page.
func (s *segment) nextPage(block int) ([]byte, error) {
	if s.w-s.r < block {
		s.fill(block)
		if s.partial && s.w-s.r < block && s.w-s.r >= longHeaderSize && isShort(s.err, true) {
			// What was not written of its last page is zero on a disk.
			clear(s.buf[s.w : s.r+block])
			s.w = s.r + block
		}
		if s.w-s.r < block {
			return nil, s.err
		}
	}
	p := s.buf[s.r : s.r+block]
	s.r += block
	s.next += int64(block)
	return p, nil
}

// isShort tells whether the error says that a segment has no more bytes.
func isShort(err error, partial bool) bool {
	return err == io.EOF || partial && errors.Is(err, io.ErrUnexpectedEOF)
}

// fill moves what is left to the beginning of buf and reads until at least one
// page is there or the stream ended.
func (s *segment) fill(block int) {
	s.w = copy(s.buf, s.buf[s.r:s.w])
	s.r = 0
	for idle := 0; s.w < block && s.err == nil; idle++ {
		n, err := s.rc.Read(s.buf[s.w:])
		s.w += n
		s.err = err
		if n > 0 {
			idle = 0
		} else if idle == maxIdleReads && err == nil {
			s.err = io.ErrNoProgress
		}
	}
}
