package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/pgbasin/pgbasin/lsn"
)

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
			r.stopAt(EndBroken, pos, addr, "there is no contrecord flag", nil)
			return false, false
		}
		if r.header.rem != left {
			r.stopAt(EndBroken, pos, addr, fmt.Sprintf("invalid contrecord length %d (expected %d)", r.header.rem, left), nil)
			return false, false
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
