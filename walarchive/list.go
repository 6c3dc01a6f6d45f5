package walarchive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pgbasin/pgbasin/wal"
)

// Listing is what an archive has.
type Listing struct {
	SegmentSize int64 // in bytes, 0 if there are no segments
	// Timelines have at least one segment, whole or partial, or a history.
	// They are in ascending order.
	Timelines []Timeline
	// Backups are the names of backup history files, without the suffix of a
	// compression, sorted.
	Backups []string
	Files   int   // of all kinds
	Bytes   int64 // on disk, of all of them
}

// Timeline is what an archive has of one timeline.
type Timeline struct {
	ID      uint32
	History bool    // whether its history file is there
	Ranges  []Range // of whole segments, in ascending order, with a gap between two
	// Partial are the numbers of the segments that are there as partial ones
	// only, in ascending order.
	Partial []uint64
}

// Range is an unbroken series of segments, by number.
type Range struct {
	First, Last uint64
}

// Gaps are the series of segments that are missing between the ranges.
func (t *Timeline) Gaps() []Range {
	var gaps []Range
	for i := 1; i < len(t.Ranges); i++ {
		gaps = append(gaps, Range{t.Ranges[i-1].Last + 1, t.Ranges[i].First - 1})
	}
	return gaps
}

// List looks at the names and sizes in the archive, and into one segment for
// their size. Names that the segments of that size cannot have are left out.
func (a *Archive) List(ctx context.Context) (*Listing, error) {
	l := &lister{whole: map[uint32][]uint64{}, partial: map[uint32][]uint64{}, histories: map[uint32]bool{}}
	var err error
	l.SegmentSize, err = a.SegmentSize()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var failed error
	err = a.each(func(s stored) bool {
		if ctx.Err() != nil {
			failed = context.Cause(ctx)
			return false
		}
		var there bool
		there, failed = l.size(filepath.Join(a.dir, s.name))
		if there {
			l.add(s)
		}
		return failed == nil
	})
	if err := cmp.Or(err, failed); err != nil {
		return nil, err
	}
	return l.finish(), nil
}

// lister collects a Listing.
type lister struct {
	Listing
	whole, partial map[uint32][]uint64
	histories      map[uint32]bool
}

// size counts a file unless it has gone in the meantime.
func (l *lister) size(path string) (there bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", path, reason(err))
	}
	if !info.Mode().IsRegular() {
		return false, nil
	}
	l.Files++
	l.Bytes += info.Size()
	return true, nil
}

func (l *lister) add(s stored) {
	switch s.kind {
	case history:
		l.histories[s.timeline()] = true
		return
	case backupHistory:
		l.Backups = append(l.Backups, s.base)
		return
	}
	if l.SegmentSize == 0 {
		return
	}
	timeline, number, err := wal.ParseSegmentName(s.base, l.SegmentSize)
	if err != nil {
		return
	}
	numbers := l.whole
	if s.partial() {
		numbers = l.partial
	}
	numbers[timeline] = append(numbers[timeline], number)
}

func (l *lister) finish() *Listing {
	slices.Sort(l.Backups)
	l.Backups = slices.Compact(l.Backups)
	ids := map[uint32]bool{}
	for id := range l.whole {
		ids[id] = true
	}
	for id := range l.partial {
		ids[id] = true
	}
	for id := range l.histories {
		ids[id] = true
	}
	for id := range ids {
		t := Timeline{ID: id, History: l.histories[id], Ranges: ranges(l.whole[id])}
		partial := l.partial[id]
		slices.Sort(partial)
		for _, n := range slices.Compact(partial) {
			if !within(t.Ranges, n) {
				t.Partial = append(t.Partial, n)
			}
		}
		l.Timelines = append(l.Timelines, t)
	}
	slices.SortFunc(l.Timelines, func(x, y Timeline) int { return cmp.Compare(x.ID, y.ID) })
	return &l.Listing
}

func ranges(numbers []uint64) []Range {
	slices.Sort(numbers)
	var all []Range
	for _, n := range numbers {
		if i := len(all) - 1; i >= 0 && n <= all[i].Last+1 {
			all[i].Last = n
			continue
		}
		all = append(all, Range{n, n})
	}
	return all
}

func within(all []Range, n uint64) bool {
	_, found := slices.BinarySearchFunc(all, n, func(r Range, n uint64) int {
		switch {
		case n < r.First:
			return 1
		case n > r.Last:
			return -1
		}
		return 0
	})
	return found
}
