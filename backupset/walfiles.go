package backupset

import (
	"path"
	"strings"

	"github.com/pgbasin/pgbasin/wal"
)

// WALFiles are the segments that a backup brings.
type WALFiles struct {
	Segments    int64
	SegmentSize int64    // in bytes; 0 without segments
	Runs        []WALRun // of segments that follow one another, in the order in which they came
	Histories   []uint32 // timelines with a history file
	Irregular   bool     // segments differ in size, or there are more runs than can be kept
}

// WALRun is segments that follow one another.
type WALRun struct {
	Timeline    uint32
	First, Last uint64
}

// Has tells whether a segment is there.
func (w *WALFiles) Has(tli uint32, segno uint64) bool {
	for _, r := range w.Runs {
		if r.Timeline == tli && r.First <= segno && segno <= r.Last {
			return true
		}
	}
	return false
}

const maxRuns = 4096

// add takes a file of the WAL directory.
func (w *WALFiles) add(name string, size int64) {
	name = path.Base(name)
	if strings.HasSuffix(name, ".history") && wal.IsHistoryName(name) && len(w.Histories) < maxRuns {
		var tli uint32
		for _, c := range []byte(name[:8]) {
			tli = tli<<4 | uint32(strings.IndexByte("0123456789ABCDEF", c))
		}
		w.Histories = append(w.Histories, tli)
		return
	}
	if !wal.IsSegmentName(name) {
		return
	}
	if !wal.ValidSegmentSize(size) || w.SegmentSize != 0 && w.SegmentSize != size {
		w.Irregular = true
		return
	}
	tli, segno, err := wal.ParseSegmentName(name, size)
	if err != nil {
		w.Irregular = true
		return
	}
	w.SegmentSize = size
	w.Segments++
	if n := len(w.Runs); n > 0 {
		last := &w.Runs[n-1]
		if last.Timeline == tli && last.Last+1 == segno {
			last.Last = segno
			return
		}
	}
	if len(w.Runs) >= maxRuns {
		w.Irregular = true
		return
	}
	w.Runs = append(w.Runs, WALRun{tli, segno, segno})
}
