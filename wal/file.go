package wal

import "strings"

// PartialSuffix ends the name of a segment that is not whole, as in the archives
// of pg_receivewal.
const PartialSuffix = ".partial"

// File is what the name of a segment in an archive says.
type File struct {
	Timeline uint32
	Segment  uint64 // number
	// Compression is the suffix that tells how the content is compressed: "",
	// ".gz", ".lz4" or ".zst".
	Compression string
	Partial     bool
}

// ParseFileName takes the name of a segment in an archive apart: 24 digits, the
// suffix of a compression, and ".partial" (is_xlogfilename in pg_receivewal.c,
// which does not know zstd). ok is false for every other name.
func ParseFileName(name string, segSize int64) (f File, ok bool) {
	if len(name) < segmentNameLen {
		return File{}, false
	}
	digits, rest := name[:segmentNameLen], name[segmentNameLen:]
	rest, f.Partial = strings.CutSuffix(rest, PartialSuffix)
	switch rest {
	case "", ".gz", ".lz4", ".zst":
		f.Compression = rest
	default:
		return File{}, false
	}
	var err error
	f.Timeline, f.Segment, err = ParseSegmentName(digits, segSize)
	if err != nil || f.Timeline == 0 {
		return File{}, false
	}
	return f, true
}

// Name is the inverse of ParseFileName.
func (f File) Name(segSize int64) string {
	name := SegmentName(f.Timeline, f.Segment, segSize) + f.Compression
	if f.Partial {
		name += PartialSuffix
	}
	return name
}
