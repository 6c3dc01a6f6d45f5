package walarchive

import (
	"encoding/binary"
	"fmt"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// headerSize is that of the long header of a segment's first page
// (XLogLongPageHeaderData in the server's xlog_internal.h), in bytes.
const headerSize = 40

// header has what can be held against a file's name and size.
type header struct {
	magic, info uint16
	timeline    uint32
	page        lsn.LSN
	segmentSize int64
	blockSize   uint32
}

func readHeader(b []byte) header {
	o := binary.NativeEndian
	return header{
		magic:       o.Uint16(b[0:]),
		info:        o.Uint16(b[2:]),
		timeline:    o.Uint32(b[4:]),
		page:        lsn.LSN(o.Uint64(b[8:])),
		segmentSize: int64(o.Uint32(b[32:])),
		blockSize:   o.Uint32(b[36:]),
	}
}

const longHeader = 0x0002 // XLP_LONG_HEADER in info

// check says in what a segment's header does not fit the name, "" if it fits. It
// knows no list of versions: a magic number begins with D, as all have done since
// 7.1, and flags that are not known yet are fine.
//
// The first page of a timeline's first segment is copied from the timeline before
// and has its number; a later one it cannot be.
func (h header) check(n walName) string {
	switch {
	case h.magic&0xF000 != 0xD000:
		return fmt.Sprintf("magic number %04X is not that of WAL", h.magic)
	case h.info&longHeader == 0:
		return "its first page has no long header"
	case !wal.ValidSegmentSize(h.segmentSize):
		return fmt.Sprintf("segment size %d in the page header is not valid", h.segmentSize)
	case h.blockSize < 1<<10 || h.blockSize > 64<<10 || h.blockSize&(h.blockSize-1) != 0:
		return fmt.Sprintf("block size %d in the page header is not valid", h.blockSize)
	}
	timeline, number, err := wal.ParseSegmentName(n.base, h.segmentSize)
	if err != nil {
		return fmt.Sprintf("no segment of %d bytes has that name", h.segmentSize)
	}
	if want := wal.SegmentStart(number, h.segmentSize); h.page != want {
		return fmt.Sprintf("page address %s in the page header, should be %s", h.page, want)
	}
	if h.timeline == 0 || h.timeline > timeline {
		return fmt.Sprintf("timeline %d in the page header, should be %d", h.timeline, timeline)
	}
	return ""
}

// blank tells whether a header was never written.
func blank(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
