package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pgbasin/pgbasin/lsn"
)

// loadPage makes the page at addr the current one. It lies on the way to the
// record at pos.
func (r *Reader) loadPage(addr, pos lsn.LSN) bool {
	no := SegmentNumber(addr, r.segSize)
	if r.seg.rc == nil || r.seg.no != no {
		if err := r.openSegment(no); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return r.noSegment(addr, pos)
			}
			return r.failAt(addr, "could not open WAL segment", err)
		}
	}
	if r.seg.limit != 0 && addr >= r.seg.limit {
		return r.noSegment(addr, pos)
	}
	off := SegmentOffset(addr, r.segSize)
	if r.seg.next != off {
		if err := r.seg.skipTo(off, r.block); err != nil {
			return r.readError(addr, pos, err)
		}
	}
	page, err := r.seg.nextPage(r.block)
	if err != nil {
		return r.readError(addr, pos, err)
	}
	r.page, r.pageAddr = page, addr
	r.header = parsePageHeader(page)
	return r.checkPage(pos)
}

// readError ends the reading where a segment gives no more.
func (r *Reader) readError(addr, pos lsn.LSN, err error) bool {
	if !isShort(err, r.seg.partial) {
		return r.failAt(addr, "could not read WAL segment", err)
	}
	reason := fmt.Sprintf("WAL segment ends after %d of %d bytes", r.seg.next+int64(r.seg.w-r.seg.r), r.segSize)
	if !r.seg.partial {
		return r.failAt(addr, reason, nil)
	}
	return r.endAt(EndPartial, pos, addr, reason)
}

// checkPage checks the header of the current page (XLogReaderValidatePageHeader).
func (r *Reader) checkPage(pos lsn.LSN) bool {
	h := &r.header
	off := SegmentOffset(r.pageAddr, r.segSize)
	switch {
	case h.magic == 0 && allZero(r.page):
		return r.endAt(EndZero, pos, r.pageAddr, "invalid magic number 0000")
	case r.isStale(h, r.pageAddr):
		return r.endAt(EndStale, pos, r.pageAddr, fmt.Sprintf("unexpected pageaddr %s", h.addr))
	case h.magic == 0 || r.magic != 0 && h.magic != r.magic:
		return r.failAt(r.pageAddr, fmt.Sprintf("invalid magic number %04X", h.magic), nil)
	case h.info&^infoAll != 0, off == 0 && h.info&infoLongHeader == 0:
		return r.failAt(r.pageAddr, fmt.Sprintf("invalid info bits %04X", h.info), nil)
	}
	if r.magic == 0 {
		r.magic = h.magic
		if _, known := MagicVersion(h.magic); !known && r.opt.Warning != nil {
			r.opt.Warning(fmt.Sprintf("unknown magic number %04X in WAL, of a server that is newer than this program", h.magic))
		}
	}
	if h.info&infoLongHeader != 0 && !r.checkLong() {
		return false
	}
	switch {
	case h.addr != r.pageAddr:
		return r.failAt(r.pageAddr, fmt.Sprintf("unexpected pageaddr %s", h.addr), nil)
	case h.tli < r.lastTLI:
		return r.failAt(r.pageAddr, fmt.Sprintf("out-of-sequence timeline ID %d (after %d)", h.tli, r.lastTLI), nil)
	case !r.timelineFits(h.tli):
		return r.failAt(r.pageAddr, fmt.Sprintf("unexpected timeline ID %d", h.tli), nil)
	}
	r.lastTLI = h.tli
	return true
}

// timelineFits tells whether a page may be of that timeline. One without its
// ancestors may hold their WAL at its beginning.
func (r *Reader) timelineFits(tli uint32) bool {
	if tli == r.opt.Timeline {
		return true
	}
	if r.opt.History == nil {
		return tli != 0 && tli < r.opt.Timeline
	}
	for _, a := range r.opt.History {
		if a.Timeline == tli {
			return true
		}
	}
	return false
}

// checkLong checks what the first page of a segment says of the server.
func (r *Reader) checkLong() bool {
	h := &r.header
	const other = "WAL file is from different database system: "
	switch {
	case r.sysID != 0 && h.sysID != r.sysID:
		return r.failAt(r.pageAddr, fmt.Sprintf(other+"WAL file database system identifier is %d, expected %d", h.sysID, r.sysID), nil)
	case int64(h.segSize) != r.segSize:
		return r.failAt(r.pageAddr, fmt.Sprintf(other+"incorrect segment size %d in page header, expected %d", h.segSize, r.segSize), nil)
	}
	r.sysID = h.sysID
	if int64(h.blockSize) == int64(r.block) {
		return true
	}
	size := h.blockSize
	if r.prev != 0 || size < minBlockSize || size > maxBlockSize || size&(size-1) != 0 {
		return r.failAt(r.pageAddr, fmt.Sprintf(other+"incorrect XLOG_BLCKSZ %d in page header", size), nil)
	}
	// The first page of all: it was read with the default size. Read it again.
	r.block = int(size)
	addr := r.pageAddr
	r.closeSegment()
	return r.loadPage(addr, addr)
}
