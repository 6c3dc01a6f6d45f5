package wal

import (
	"errors"
	"io/fs"

	"github.com/pgbasin/pgbasin/lsn"
)

// noSegment ends the reading on the way to the record at pos, where the segment
// that holds addr is not there. Nothing is wrong with that unless the segment is
// the first, or one is missing before others.
func (r *Reader) noSegment(addr, pos lsn.LSN) bool {
	const reason = "WAL segment is not there"
	end := EndOfSegments
	no := SegmentNumber(addr, r.segSize)
	tli := r.newest(no)
	if r.magic == 0 || r.segmentLives(no+1) {
		end = EndBroken
	}
	r.seg.tli = tli
	r.stopAt(end, pos, addr, reason, fs.ErrNotExist)
	return false
}

// endAt ends the reading where the WAL seems to end: before the record at pos,
// because of what is at the position at. If WAL goes on behind that, it is broken
// here.
func (r *Reader) endAt(end End, pos, at lsn.LSN, reason string) bool {
	seg := r.seg.tli
	switch {
	case r.seg.limit != 0 && pos < r.seg.limit && !r.seg.partial:
		end = EndBroken // the history of the timeline says that there is more
	case r.restLives() || r.segmentLives(r.seg.no+1):
		end = EndBroken
	}
	r.seg.tli = seg
	r.stopAt(end, pos, at, reason, nil)
	return false
}

// restLives tells whether WAL is on a page behind the current one in the segment.
func (r *Reader) restLives() bool {
	for r.seg.next < r.segSize {
		addr := SegmentStart(r.seg.no, r.segSize) + lsn.LSN(r.seg.next)
		page, err := r.seg.nextPage(r.block)
		if err != nil {
			return !isShort(err, r.seg.partial)
		}
		if r.lives(page, addr) {
			return true
		}
	}
	return false
}

// segmentLives tells whether WAL is on the first page of a segment. A segment
// that cannot be read counts as one that has.
func (r *Reader) segmentLives(no uint64) bool {
	if err := r.openSegment(no); err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer r.closeSegment()
	page, err := r.seg.nextPage(r.block)
	if err != nil {
		return !isShort(err, r.seg.partial)
	}
	return r.lives(page, SegmentStart(no, r.segSize))
}

func (r *Reader) lives(page []byte, addr lsn.LSN) bool {
	h := parsePageHeader(page)
	return !r.isStale(&h, addr) && !allZero(page)
}

// isStale tells whether the page at addr is no WAL of this place. A recycled
// segment is renamed, so that its pages have addresses that are whole segments too
// low. And where a timeline begins, the server makes its first segment from the one
// before and fills the rest with copies of the last page (XLogFileCopy in xlog.c).
func (r *Reader) isStale(h *pageHeader, addr lsn.LSN) bool {
	if h.magic>>8 < 0xD0 || h.addr >= addr {
		return false
	}
	recycled := int64(addr-h.addr)%r.segSize == 0
	copied := h.tli < r.seg.tli && SegmentNumber(h.addr, r.segSize) == SegmentNumber(addr, r.segSize)
	return recycled || copied
}
