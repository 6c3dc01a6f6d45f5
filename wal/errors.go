package wal

import (
	"fmt"

	"github.com/pgbasin/pgbasin/lsn"
)

// RecordError is a place where WAL is broken: what is there is not what a server
// writes. The reasons are worded as those of the server and of pg_waldump
// (xlogreader.c).
type RecordError struct {
	LSN      lsn.LSN // of the record, or of the page when its header is wrong
	Timeline uint32  // in the segment's name
	Segment  string  // where it was found, as a file name without a suffix; "" before its size is known
	Offset   int64   // and how far into that, in bytes
	Reason   string
	Err      error // of the Source, or nil
}

func (e *RecordError) Error() string {
	s := fmt.Sprintf("%s at %s", e.Reason, e.LSN)
	if e.Segment != "" {
		s += fmt.Sprintf(" in WAL segment %s, offset %d", e.Segment, e.Offset)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *RecordError) Unwrap() error { return e.Err }

// End says why a Reader has no more records.
type End int

// A Reader ends for one of these reasons. All but EndBroken leave Err nil.
const (
	// EndNone: there may be more records.
	EndNone End = iota
	// EndReached: the next record begins at ReaderOptions.End or later.
	EndReached
	// EndInsideRecord: the next record begins before ReaderOptions.End and goes
	// past it. It was not read.
	EndInsideRecord
	// EndOfSegments: the next segment is not there, nor is the one after it.
	EndOfSegments
	// EndZero: nothing but zeros follows, as in a segment that was made ahead of
	// its use.
	EndZero
	// EndStale: the pages that follow are left from an earlier use of the segment.
	EndStale
	// EndPartial: the Source calls the segment partial, and its content ends here.
	EndPartial
	// EndBroken: Err says what is wrong.
	EndBroken
)

func (e End) String() string {
	switch e {
	case EndNone:
		return "not at the end"
	case EndReached:
		return "wanted end reached"
	case EndInsideRecord:
		return "wanted end inside a record"
	case EndOfSegments:
		return "no more segments"
	case EndZero:
		return "only zeros follow"
	case EndStale:
		return "only recycled pages follow"
	case EndPartial:
		return "end of a partial segment"
	case EndBroken:
		return "broken"
	}
	return fmt.Sprintf("End(%d)", int(e))
}
