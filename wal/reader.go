package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

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

// read reads one record. What is broken is read a second time: a segment that is
// being written may have grown since its beginning was read.
func (r *Reader) read() bool {
	pos, lastTLI := r.pos, r.lastTLI
	for {
		again, ok := r.readAt(r.pos)
		switch {
		case ok:
			return true
		case again:
		case r.end == EndBroken && r.broken.Err == nil && r.retried != pos:
			r.end, r.broken = EndNone, nil
			r.pos, r.lastTLI, r.overwritten = pos, lastTLI, 0
			r.retried = pos
		default:
			return false
		}
	}
}

// readAt reads the record at pos. again is true when that record was given up by
// the server and r.pos is where the one that replaces it begins.
func (r *Reader) readAt(pos lsn.LSN) (again, ok bool) {
	if r.opt.End != 0 && pos >= r.opt.End {
		return false, r.reached(EndReached)
	}
	addr := r.pageOf(pos)
	if r.page == nil || addr != r.pageAddr {
		if r.opt.End != 0 && addr+shortHeaderSize > r.opt.End {
			return false, r.reached(EndReached)
		}
		if !r.loadPage(addr, pos) {
			return false, false
		}
	} else if r.seg.limit != 0 && pos >= r.seg.limit {
		return false, r.noSegment(pos, pos)
	}
	headerSize := r.header.size()
	off := int(pos - addr)
	switch {
	case off == 0:
		off = headerSize
		pos += lsn.LSN(off)
	case off < headerSize:
		return false, r.failAt(pos, fmt.Sprintf("invalid record offset: expected at least %d, got %d", headerSize, off), nil)
	}
	if off == headerSize && r.header.info&infoContrecord != 0 {
		return false, r.failAt(pos, "contrecord is requested", nil)
	}
	if r.opt.End != 0 && pos >= r.opt.End {
		return false, r.reached(EndReached)
	}
	p := r.page[off:]
	total := binary.LittleEndian.Uint32(p)
	if total < recordHeaderSize {
		reason := fmt.Sprintf("invalid record length: expected at least %d, got %d", recordHeaderSize, total)
		if total == 0 && allZero(p) {
			return false, r.endAt(EndZero, pos, pos, reason)
		}
		return false, r.failAt(pos, reason, nil)
	}
	r.rec = Record{LSN: pos, Timeline: r.header.tli, magic: r.header.magic, TotalLen: total}
	if uint64(total) > uint64(len(p)) {
		return r.readCrossing(pos, p)
	}
	if r.opt.End != 0 && uint64(pos)+uint64(total) > uint64(r.opt.End) {
		return false, r.reached(EndInsideRecord)
	}
	r.recEnd = off + int(total)
	if !r.recordHeader(p[:recordHeaderSize]) {
		return false, false
	}
	r.rec.body = p[recordHeaderSize:total]
	return false, r.finish(p[:recordHeaderSize], crc32.Update(0, castagnoli, r.rec.body), pos+lsn.LSN(align(uint64(total))))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readCrossing reads the record at pos whose part on its first page is p.
func (r *Reader) readCrossing(pos lsn.LSN, p []byte) (again, ok bool) {
	var (
		left   = r.rec.TotalLen - uint32(len(p))
		header = r.recHeader[:]
		got    = copy(header, p) // of the header
		sum    = crc32.Update(0, castagnoli, p[got:])
		addr   = r.pageAddr
		next   lsn.LSN
	)
	r.keep = append(r.keep[:0], p[got:min(len(p), got+r.opt.KeepBytes)]...)
	r.recEnd = r.block
	if got == recordHeaderSize && !r.recordHeader(header) {
		return false, false
	}
	for left > 0 {
		addr += lsn.LSN(r.block)
		if r.opt.End != 0 && addr+shortHeaderSize > r.opt.End {
			return false, r.reached(EndInsideRecord)
		}
		if !r.loadPage(addr, pos) {
			return false, false
		}
		if r.header.info&infoOverwriteContrecord != 0 {
			r.overwritten, r.pos = pos, addr
			return true, false
		}
		if r.header.info&infoContrecord == 0 {
			return false, r.failAt(pos, "there is no contrecord flag", nil)
		}
		if r.header.rem != left {
			return false, r.failAt(pos, fmt.Sprintf("invalid contrecord length %d (expected %d)", r.header.rem, left), nil)
		}
		part := r.page[r.header.size():]
		part = part[:min(uint64(left), uint64(len(part)))]
		next = addr + lsn.LSN(r.header.size()) + lsn.LSN(align(uint64(len(part))))
		if r.opt.End != 0 && addr+lsn.LSN(r.header.size()+len(part)) > r.opt.End {
			return false, r.reached(EndInsideRecord)
		}
		left -= uint32(len(part))
		r.recEnd = r.header.size() + len(part)
		if got < recordHeaderSize {
			n := copy(header[got:], part)
			got += n
			part = part[n:]
			if got == recordHeaderSize && !r.recordHeader(header) {
				return false, false
			}
		}
		sum = crc32.Update(sum, castagnoli, part)
		if room := r.opt.KeepBytes - len(r.keep); room > 0 {
			r.keep = append(r.keep, part[:min(len(part), room)]...)
		}
	}
	r.rec.body = r.keep
	return false, r.finish(header, sum, next)
}

// recordHeader takes a record's header over and checks it, but for the length
// (ValidXLogRecordHeader). Resource managers are not checked: extensions and newer
// servers have more, and the checksum covers the number.
func (r *Reader) recordHeader(h []byte) bool {
	_ = h[recordHeaderSize-1]
	rec := &r.rec
	rec.XID = binary.LittleEndian.Uint32(h[4:])
	rec.Prev = lsn.LSN(binary.LittleEndian.Uint64(h[8:]))
	rec.Info = h[16]
	rec.RmgrID = h[17]
	if r.prev == 0 && rec.Prev >= rec.LSN || r.prev != 0 && rec.Prev != r.prev {
		return r.badRecord(fmt.Sprintf("record with incorrect prev-link %s", rec.Prev))
	}
	return true
}

// finish checks the record as a whole. sum is the checksum of its body.
func (r *Reader) finish(header []byte, sum uint32, next lsn.LSN) bool {
	rec := &r.rec
	if crc32.Update(sum, castagnoli, header[:recordCRCOffset]) != binary.LittleEndian.Uint32(header[recordCRCOffset:]) {
		return r.badRecord("incorrect resource manager data checksum in record")
	}
	if reason := rec.parse(); reason != "" {
		return r.failAt(rec.LSN, reason, nil)
	}
	if r.overwritten != 0 {
		if was, _, ok := rec.OverwriteContrecord(); ok && was != r.overwritten {
			return r.failAt(rec.LSN, fmt.Sprintf("mismatching overwritten LSN %s (expected %s)", was, r.overwritten), nil)
		}
		r.overwritten = 0
	}
	if rec.IsSwitch() {
		next = (next + lsn.LSN(r.segSize-1)) &^ lsn.LSN(r.segSize-1)
	}
	rec.Next = next
	r.prev, r.pos = rec.LSN, next
	return true
}

// badRecord ends the reading at a record that is not what it should be. In a
// partial segment its last bytes may not have been written: then it is where the
// segment ends.
func (r *Reader) badRecord(reason string) bool {
	if r.seg.partial && r.page[r.recEnd-1] == 0 && allZero(r.page[r.recEnd:]) {
		return r.endAt(EndPartial, r.rec.LSN, r.rec.LSN, reason)
	}
	return r.failAt(r.rec.LSN, reason, nil)
}

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
