package wal

import (
	"encoding/binary"

	"github.com/pgbasin/pgbasin/lsn"
)

// Page headers (XLogPageHeaderData and XLogLongPageHeaderData in the server's
// xlog_internal.h), rounded up to eight bytes as the server does.
const (
	shortHeaderSize = 24
	longHeaderSize  = 40
)

// Bits of xlp_info.
const (
	infoContrecord          = 0x0001
	infoLongHeader          = 0x0002
	infoOverwriteContrecord = 0x0008
	infoAll                 = 0x000F
)

// DefaultBlockSize is the size of a page of WAL, in bytes, unless the server was
// built with another --with-wal-blocksize.
const DefaultBlockSize = 8192

const (
	minBlockSize = 1 << 10
	maxBlockSize = 64 << 10
)

type pageHeader struct {
	magic uint16
	info  uint16
	tli   uint32
	addr  lsn.LSN
	rem   uint32 // bytes left of the record that the page before began

	// only with infoLongHeader
	sysID     uint64
	segSize   uint32
	blockSize uint32
}

func (h *pageHeader) size() int {
	if h.info&infoLongHeader != 0 {
		return longHeaderSize
	}
	return shortHeaderSize
}

// parsePageHeader takes longHeaderSize bytes, all of which exist in every page.
func parsePageHeader(b []byte) pageHeader {
	_ = b[longHeaderSize-1]
	h := pageHeader{
		magic: binary.LittleEndian.Uint16(b),
		info:  binary.LittleEndian.Uint16(b[2:]),
		tli:   binary.LittleEndian.Uint32(b[4:]),
		addr:  lsn.LSN(binary.LittleEndian.Uint64(b[8:])),
		rem:   binary.LittleEndian.Uint32(b[16:]),
	}
	if h.info&infoLongHeader != 0 {
		h.sysID = binary.LittleEndian.Uint64(b[24:])
		h.segSize = binary.LittleEndian.Uint32(b[32:])
		h.blockSize = binary.LittleEndian.Uint32(b[36:])
	}
	return h
}

// Magic numbers grow with the versions, so that one that is not known belongs to
// a newer server.
const (
	magic10 = 0xD097
	magic15 = 0xD110
	magic18 = 0xD118
)

// MagicVersion tells which server version writes pages with that magic number
// (XLOG_PAGE_MAGIC): 90500 for 9.5, 150000 for 15. known is false for numbers of
// servers that are newer than this package.
func MagicVersion(magic uint16) (version int, known bool) {
	switch magic {
	case 0xD087:
		return 90500, true
	case 0xD093:
		return 90600, true
	case magic10:
		return 100000, true
	case 0xD098:
		return 110000, true
	case 0xD101:
		return 120000, true
	case 0xD106:
		return 130000, true
	case 0xD10D:
		return 140000, true
	case magic15:
		return 150000, true
	case 0xD113:
		return 160000, true
	case 0xD116:
		return 170000, true
	case magic18:
		return 180000, true
	}
	return 0, false
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
