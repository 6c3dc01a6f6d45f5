// Package wal knows the write-ahead log as files: how segments and history
// files are named, where a position lies in them, and what the records in them
// say. It works offline.
package wal

import (
	"fmt"
	"strconv"

	"github.com/pgbasin/pgbasin/lsn"
)

// Sizes that initdb --wal-segsize accepts (11 and later; fixed at build time
// before, 16 MB by default).
const (
	MinSegmentSize     = 1 << 20
	MaxSegmentSize     = 1 << 30
	DefaultSegmentSize = 16 << 20
)

const (
	segmentNameLen = 24
	historySuffix  = ".history"
	historyNameLen = 8 + len(historySuffix)
)

// ValidSegmentSize tells whether n, in bytes, is a size a server can have: a
// power of two from 1 MB to 1 GB.
func ValidSegmentSize(n int64) bool {
	return n >= MinSegmentSize && n <= MaxSegmentSize && n&(n-1) == 0
}

// SegmentNumber is the number of the segment that holds the byte at pos.
func SegmentNumber(pos lsn.LSN, segSize int64) uint64 { return uint64(pos) / uint64(segSize) }

// SegmentOffset is how far into its segment pos lies, in bytes.
func SegmentOffset(pos lsn.LSN, segSize int64) int64 { return int64(uint64(pos) % uint64(segSize)) }

// SegmentStart is the position of the segment's first byte.
func SegmentStart(segno uint64, segSize int64) lsn.LSN { return lsn.LSN(segno * uint64(segSize)) }

// SegmentName is the 24-digit file name of a segment: timeline, then the
// segment number split where 4 GB of log are full.
func SegmentName(tli uint32, segno uint64, segSize int64) string {
	per := segmentsPerID(segSize)
	return fmt.Sprintf("%08X%08X%08X", tli, segno/per, segno%per)
}

// ParseSegmentName is the inverse of SegmentName. Suffixes (.partial, .gz) are
// for the caller to strip.
func ParseSegmentName(name string, segSize int64) (tli uint32, segno uint64, err error) {
	if !IsSegmentName(name) {
		return 0, 0, fmt.Errorf("%q is not the name of a write-ahead log segment", name)
	}
	per := segmentsPerID(segSize)
	t, _ := strconv.ParseUint(name[:8], 16, 32)
	high, _ := strconv.ParseUint(name[8:16], 16, 32)
	low, _ := strconv.ParseUint(name[16:], 16, 32)
	if low >= per {
		return 0, 0, fmt.Errorf("%q is not the name of a write-ahead log segment of %d bytes", name, segSize)
	}
	return uint32(t), high*per + low, nil
}

// IsSegmentName tells whether name has the form of a segment's file name.
func IsSegmentName(name string) bool { return len(name) == segmentNameLen && isUpperHex(name) }

// HistoryName is the file name of a timeline's history.
func HistoryName(tli uint32) string { return fmt.Sprintf("%08X%s", tli, historySuffix) }

// IsHistoryName tells whether name has the form of a history file's name.
func IsHistoryName(name string) bool {
	return len(name) == historyNameLen && name[8:] == historySuffix && isUpperHex(name[:8])
}

func segmentsPerID(segSize int64) uint64 { return (1 << 32) / uint64(segSize) }

func isUpperHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
