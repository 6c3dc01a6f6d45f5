package wal

import (
	"fmt"

	"github.com/pgbasin/pgbasin/lsn"
)

// ReaderOptions says what to read. Timeline is needed.
type ReaderOptions struct {
	// SegmentSize, in bytes. 0 asks the Source, if it is a SegmentSizer, and is
	// DefaultSegmentSize otherwise.
	SegmentSize int64
	// Timeline to read along. History are its ancestors, oldest first, as
	// ParseHistory returns them; without them only segments of Timeline are read.
	Timeline uint32
	History  []Ancestor
	// Start is where to begin: the first record at or after it. It need not be
	// the beginning of a record.
	Start lsn.LSN
	// End is where to stop: before the first record that begins at or after it.
	// 0 reads as far as the WAL goes.
	End lsn.LSN
	// SystemID that the segments must have; 0 is that of the first one.
	SystemID uint64
	// KeepBytes is how much is kept of a record that is spread over several
	// pages, without its header; longer ones are checked but cut. 0 is 1 MiB.
	KeepBytes int
	// Warning is told what is odd and no reason to stop, such as a magic number
	// that is not known. It may be nil.
	Warning func(message string)
}

const defaultKeepBytes = 1 << 20

// Reader reads WAL records, one after the other, and checks all of it as the
// server does in recovery: page headers, back-links, lengths and checksums. The
// layout is that of 9.5 to 19 on little-endian machines. Its memory does not
// depend on the sizes of segments and records.
//
// It is not safe for concurrent use.
type Reader struct {
	src     Source
	opt     ReaderOptions
	segSize int64
	block   int
	started bool

	seg      segment
	page     []byte // that was read last, nil before and after a segment
	pageAddr lsn.LSN
	header   pageHeader // of page
	magic    uint16     // of the first page; 0 before
	sysID    uint64
	lastTLI  uint32 // of the last page

	pos         lsn.LSN // where the next record begins, or its page
	prev        lsn.LSN // where the last record began; 0 before the first
	overwritten lsn.LSN // record that the next one must say it replaces

	rec  Record
	keep []byte // of a record that crosses pages
	// recHeader is its header, collected.
	recHeader [recordHeaderSize]byte
	// recEnd is the offset in page where the part of the record there ends.
	recEnd int

	retried lsn.LSN // where reading was tried a second time

	end End
	// broken is what the error is, or would be if this were not the end of WAL.
	broken *RecordError
}

// NewReader returns a reader. Nothing is opened before the first Next. The caller
// closes it.
func NewReader(src Source, opt ReaderOptions) *Reader {
	if opt.KeepBytes <= 0 {
		opt.KeepBytes = defaultKeepBytes
	}
	return &Reader{src: src, opt: opt, sysID: opt.SystemID, segSize: opt.SegmentSize, pos: opt.Start}
}

// Next reads the next record. It returns false at the end and when WAL is broken;
// End and Err tell which.
func (r *Reader) Next() bool {
	if r.end != EndNone {
		return false
	}
	if !r.started && !r.start() {
		return false
	}
	for r.read() {
		if r.rec.LSN >= r.opt.Start {
			return true
		}
	}
	return false
}

// Record is the record that Next read. It and what it refers to are valid until
// the next call to Next.
func (r *Reader) Record() *Record { return &r.rec }

// Err is nil unless the WAL is broken or could not be read. It is a *RecordError
// when there is a place to name.
func (r *Reader) Err() error {
	if r.end == EndBroken {
		return r.broken
	}
	return nil
}

// End says why Next returned false.
func (r *Reader) End() End { return r.end }

// Detail is what a server would say at the end of the WAL: Err when that is not
// nil, else what was found in place of a record, or nil when ReaderOptions.End
// was reached.
func (r *Reader) Detail() *RecordError { return r.broken }

// EndLSN is the end of the last record, and where the next one would begin.
// Before the first it is where reading began.
func (r *Reader) EndLSN() lsn.LSN { return r.pos }

// SegmentSize is the size of the segments, in bytes; known after the first Next.
func (r *Reader) SegmentSize() int64 { return r.segSize }

// SystemID is the system identifier in the segments; known after the first Next.
func (r *Reader) SystemID() uint64 { return r.sysID }

// Magic is the magic number of the pages; known after the first Next.
func (r *Reader) Magic() uint16 { return r.magic }

// Close closes the segment that is open. The Reader is at its end then.
func (r *Reader) Close() error {
	r.closeSegment()
	if r.end == EndNone {
		r.end = EndReached
	}
	return nil
}

// failAt ends the reading: what is at pos is broken.
func (r *Reader) failAt(pos lsn.LSN, reason string, err error) bool {
	r.stopAt(EndBroken, pos, pos, reason, err)
	return false
}

// stopAt ends the reading for a reason that may be good: at the record at pos,
// because of what is at the position at, which may be a later page.
func (r *Reader) stopAt(end End, pos, at lsn.LSN, reason string, err error) {
	tli := r.seg.tli
	if tli == 0 {
		tli = r.opt.Timeline
	}
	r.broken = &RecordError{LSN: pos, Timeline: tli, Reason: reason, Err: err}
	if r.segSize != 0 {
		r.broken.Segment = SegmentName(tli, SegmentNumber(at, r.segSize), r.segSize)
		r.broken.Offset = SegmentOffset(at, r.segSize)
	}
	r.end = end
	r.closeSegment()
}

func (r *Reader) reached(end End) bool {
	r.end = end
	r.closeSegment()
	return false
}

// start finds out the sizes and moves to the first record of the page that Start
// lies on, or, when that is filled by the rest of a record, of a later page
// (XLogFindNextRecord in the server's xlogreader.c).
func (r *Reader) start() bool {
	r.started = true
	if r.segSize == 0 {
		r.segSize = DefaultSegmentSize
		if s, ok := r.src.(SegmentSizer); ok {
			size, err := s.SegmentSize()
			if err != nil {
				r.segSize = 0
				return r.failAt(r.pos, "could not tell the size of WAL segments", err)
			}
			r.segSize = size
		}
	}
	if !ValidSegmentSize(r.segSize) {
		size := r.segSize
		r.segSize = 0
		return r.failAt(r.pos, fmt.Sprintf("invalid WAL segment size of %d bytes", size), nil)
	}
	if r.opt.Start == 0 {
		return r.failAt(0, "invalid start of WAL", nil)
	}
	if r.opt.End != 0 && r.opt.Start >= r.opt.End {
		return r.reached(EndReached)
	}
	r.block = DefaultBlockSize
	r.seg.buf = make([]byte, chunkSize)
	// The segment's first page tells the size of its pages.
	first := SegmentStart(SegmentNumber(r.pos, r.segSize), r.segSize)
	if !r.loadPage(first, r.pos) {
		return false
	}
	for addr := r.pageOf(r.pos); ; addr += lsn.LSN(r.block) {
		if r.opt.End != 0 && addr+shortHeaderSize > r.opt.End {
			return r.reached(EndReached)
		}
		if addr != r.pageAddr && !r.loadPage(addr, addr) {
			return false
		}
		r.pos = addr + lsn.LSN(r.header.size())
		if r.header.info&infoContrecord == 0 {
			return true
		}
		if rest := align(uint64(r.header.rem)); rest < uint64(r.block-r.header.size()) {
			r.pos += lsn.LSN(rest)
			return true
		}
	}
}

func align(n uint64) uint64 { return (n + 7) &^ 7 }

func (r *Reader) pageOf(pos lsn.LSN) lsn.LSN { return pos - pos%lsn.LSN(r.block) }
