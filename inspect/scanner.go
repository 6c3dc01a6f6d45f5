package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// scanner reads all WAL that recovery from a backup can use.
type scanner struct {
	ctx     context.Context
	r       *Report
	w       *Window
	o       Options
	src     wal.Source
	closer  io.Closer
	segSize int64

	branches []*branch // by timeline
	total    int64
}

// branch is a timeline and what was found on it.
type branch struct {
	Timeline
	history []wal.Ancestor
	ranges  []walarchive.Range // of segments, of the archive and of the backup
	// at is the state of the scan where children left, by their numbers.
	at map[uint32]state
	// last is the state at the end.
	last   state
	broken bool
}

// state is what is known of the WAL up to a position.
type state struct {
	end       lsn.LSN // of the last record
	newest    Commit
	newestEnd time.Time
}

const maxRestorePoints = 1 << 16

// newScanner prepares the reading; it returns nil when there is nothing to read.
func newScanner(ctx context.Context, s *backupset.Set, r *Report, o Options) (*scanner, error) {
	start, tli, ok := r.Start()
	if !ok && r.Control != nil {
		// The copy of a cluster that was shut down starts at its last checkpoint.
		if state := r.Control.State; state == pgdata.ShutDown || state == pgdata.ShutDownInRecovery {
			start, tli, ok = r.Control.Redo, r.Control.Timeline, true
		}
	}
	if !ok {
		return nil, nil
	}
	sc := &scanner{ctx: ctx, r: r, o: o, w: &Window{Start: start, StartTimeline: tli}}
	if sc.src, sc.closer = Source(s, &r.Head, o.Archive); sc.src == nil {
		return nil, nil
	}
	if err := sc.list(); err != nil {
		sc.close()
		return nil, err
	}
	if sc.segSize == 0 {
		sc.close()
		return nil, nil // no segments anywhere
	}
	r.Window = sc.w
	return sc, nil
}

func (sc *scanner) close() {
	sc.closer.Close()
}

// list finds the timelines and their segments.
func (sc *scanner) list() error {
	w := &sc.r.WAL
	sc.segSize = w.SegmentSize
	byID := map[uint32]*branch{}
	get := func(id uint32) *branch {
		if byID[id] == nil {
			byID[id] = &branch{Timeline: Timeline{ID: id}, at: map[uint32]state{}}
		}
		return byID[id]
	}
	get(sc.w.StartTimeline)
	for _, run := range w.Runs {
		if sc.r.ByHand {
			break // a server keeps old segments under names of the future, for use as those
		}
		b := get(run.Timeline)
		b.ranges = append(b.ranges, walarchive.Range{First: run.First, Last: run.Last})
	}
	if a := sc.o.Archive; a != nil {
		listing, err := a.List(sc.ctx)
		if err != nil {
			return err
		}
		switch {
		case listing.SegmentSize == 0:
		case sc.segSize != 0 && sc.segSize != listing.SegmentSize:
			return fmt.Errorf("the WAL archive has segments of %d bytes, the backup has some of %d", listing.SegmentSize, sc.segSize)
		default:
			sc.segSize = listing.SegmentSize
		}
		for _, t := range listing.Timelines {
			b := get(t.ID)
			b.ranges = append(b.ranges, t.Ranges...)
			for _, n := range t.Partial {
				b.ranges = append(b.ranges, walarchive.Range{First: n, Last: n})
			}
			if b.History = t.History; t.History {
				if b.history, err = a.ReadHistory(t.ID); err != nil {
					return err
				}
			}
		}
	}
	for _, b := range byID {
		b.ranges = merge(b.ranges)
		if n := len(b.ranges); n > 0 && sc.segSize > 0 {
			b.First = wal.SegmentName(b.ID, b.ranges[0].First, sc.segSize)
			b.Last = wal.SegmentName(b.ID, b.ranges[n-1].Last, sc.segSize)
		}
		if n := len(b.history); n > 0 {
			b.Parent, b.SwitchAt = b.history[n-1].Timeline, b.history[n-1].End
		}
		b.Descends = sc.descends(b)
		sc.branches = append(sc.branches, b)
	}
	slices.SortFunc(sc.branches, func(a, b *branch) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// descends tells whether a timeline is the backup's or goes back to it, at or
// after the point where the backup ends (rescanLatestTimeLine and StartupXLOG in
// the server have the same rule).
func (sc *scanner) descends(b *branch) bool {
	if b.ID == sc.w.StartTimeline {
		return true
	}
	// The checkpoint's record, which lies behind the start, must be on the way.
	after := max(sc.w.Start, sc.r.Stop)
	for _, a := range b.history {
		if a.Timeline == sc.w.StartTimeline {
			return a.End >= after
		}
	}
	return false
}

func merge(ranges []walarchive.Range) []walarchive.Range {
	slices.SortFunc(ranges, func(a, b walarchive.Range) int { return cmp.Compare(a.First, b.First) })
	var out []walarchive.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// run reads each timeline once, from where it left its parent.
func (sc *scanner) run() error {
	for _, b := range sc.branches {
		if b.Descends {
			sc.total += sc.bytesOf(b)
		}
	}
	for _, b := range sc.branches {
		if !b.Descends {
			continue
		}
		if b.ID == sc.w.StartTimeline {
			b.Reached = true
			if err := sc.read(b, sc.w.Start, state{}); err != nil {
				return err
			}
			continue
		}
		parent := sc.branch(b.Parent)
		if parent == nil || !parent.Reached {
			b.EndsWith = fmt.Sprintf("the WAL of timeline %d before it is missing", b.Parent)
			continue
		}
		from, ok := parent.at[b.ID]
		if !ok {
			from = parent.last // what is missing of the parent may be in this timeline's first segment
		}
		if err := sc.read(b, min(max(from.end, sc.w.Start), b.SwitchAt), from); err != nil {
			return err
		}
		b.Reached = b.End >= b.SwitchAt
	}
	sc.conclude()
	return nil
}

func (sc *scanner) branch(id uint32) *branch {
	for _, b := range sc.branches {
		if b.ID == id {
			return b
		}
	}
	return nil
}

func (sc *scanner) bytesOf(b *branch) (n int64) {
	first := wal.SegmentNumber(max(sc.w.Start, b.SwitchAt), sc.segSize)
	for _, r := range b.ranges {
		if r.Last >= first {
			n += int64(r.Last-max(r.First, first)+1) * sc.segSize
		}
	}
	return n
}

// read reads the WAL of one timeline from a position on.
func (sc *scanner) read(b *branch, start lsn.LSN, s state) error {
	children := sc.children(b)
	rd := wal.NewReader(sc.src, wal.ReaderOptions{
		SegmentSize: sc.segSize, Timeline: b.ID, History: b.history, Start: start, SystemID: sc.r.SystemID,
		KeepBytes: keepBytes,
	})
	defer rd.Close()
	b.Start = start
	reported := start
	before := sc.w.Bytes
	for rd.Next() {
		rec := rd.Record()
		for len(children) > 0 && rec.LSN >= children[0].SwitchAt {
			b.at[children[0].ID] = s
			children = children[1:]
		}
		sc.w.Records++
		sc.take(b, rec, &s)
		s.end = rec.Next
		if s.end-reported >= lsn.LSN(sc.segSize) {
			if err := sc.progress(b, s.end, before+int64(s.end-start)); err != nil {
				return err
			}
			reported = s.end
		}
	}
	for _, c := range children {
		if s.end >= c.SwitchAt {
			b.at[c.ID] = s
		}
	}
	if s.end > start {
		sc.w.Bytes = before + int64(s.end-start)
		b.End = s.end
	} else if rd.End() != wal.EndBroken && start == b.SwitchAt {
		b.End = start
	}
	b.last = s
	if err := rd.Err(); err != nil {
		var rec *wal.RecordError
		if !errors.As(err, &rec) || rec.Err != nil && !isDamage(rec.Err) {
			return err
		}
		b.broken = true
	}
	b.EndsWith = sc.reason(b, rd)
	return sc.ctx.Err()
}

// keepBytes is what is kept of a record: what is looked at here is short, but for
// the commits that list many subtransactions, whose time comes first.
const keepBytes = 64 << 10

// isDamage tells an archive file that is not what it should be, or is missing, from
// one that cannot be read.
func isDamage(err error) bool {
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	var corrupt *walarchive.CorruptError
	var archive *backupset.ArchiveError
	return errors.As(err, &corrupt) || errors.As(err, &archive)
}

func (sc *scanner) progress(b *branch, pos lsn.LSN, bytes int64) error {
	if sc.ctx.Err() != nil {
		return context.Cause(sc.ctx)
	}
	if sc.o.Progress != nil {
		sc.o.Progress(Progress{Timeline: b.ID, LSN: pos, Bytes: bytes, Total: sc.total})
	}
	return nil
}

// children are the timelines that left b, in the order in which they did.
func (sc *scanner) children(b *branch) []*branch {
	var list []*branch
	for _, c := range sc.branches {
		if c.Descends && c.Parent == b.ID {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *branch) int { return cmp.Compare(a.SwitchAt, b.SwitchAt) })
	return list
}

// take looks at one record.
func (sc *scanner) take(b *branch, rec *wal.Record, s *state) {
	switch rec.RmgrID {
	case wal.RmgrTransaction:
		t, ok := rec.Transaction()
		if !ok || !t.Ends() {
			return
		}
		if t.Time.After(s.newestEnd) {
			s.newestEnd = t.Time
		}
		if t.Kind == wal.Commit || t.Kind == wal.CommitPrepared {
			c := Commit{Time: t.Time, LSN: rec.LSN, End: rec.Next, XID: t.XID, Timeline: wal.TimelineAt(b.ID, b.history, rec.LSN)}
			s.newest, b.Newest = c, c
		}
		if sc.r.Stop == 0 || rec.LSN < sc.r.Stop {
			if t.Time.After(sc.w.EarliestTime) {
				sc.w.EarliestTime = t.Time
			}
		}
	case wal.RmgrXLOG:
		if start, ok := rec.BackupEnd(); ok && start == sc.w.Start && sc.r.Stop == 0 {
			sc.r.Stop, sc.r.StopTimeline, sc.r.StopBy = rec.Next, wal.TimelineAt(b.ID, b.history, rec.LSN), EndRecord
			return
		}
		if name, at, ok := rec.RestorePoint(); ok {
			if len(sc.w.RestorePoints) >= maxRestorePoints {
				sc.w.MoreRestorePoints++
				return
			}
			sc.w.RestorePoints = append(sc.w.RestorePoints, RestorePoint{Name: name, Time: at, LSN: rec.Next, Timeline: wal.TimelineAt(b.ID, b.history, rec.LSN)})
		}
	}
}

// reason says why a timeline has no more records.
func (sc *scanner) reason(b *branch, rd *wal.Reader) string {
	end := max(b.last.end, b.Start)
	segno := wal.SegmentNumber(end, sc.segSize)
	later := len(b.ranges) > 0 && b.ranges[len(b.ranges)-1].Last > segno
	kind := rd.End()
	if kind == wal.EndBroken && errors.Is(rd.Err(), fs.ErrNotExist) {
		kind = wal.EndOfSegments
	}
	b.broken = b.broken || later
	switch {
	case kind == wal.EndBroken:
		return rd.Err().Error()
	case later && (kind == wal.EndOfSegments || kind == wal.EndStale):
		return fmt.Sprintf("segment %s is missing, and there are later ones", wal.SegmentName(b.ID, segno, sc.segSize))
	case later:
		return fmt.Sprintf("%s in segment %s, and there are later ones", kind, wal.SegmentName(b.ID, segno, sc.segSize))
	case kind == wal.EndOfSegments:
		return fmt.Sprintf("segment %s is not there", wal.SegmentName(b.ID, segno, sc.segSize))
	}
	return kind.String()
}

// conclude finds out what can be reached.
func (sc *scanner) conclude() {
	w := sc.w
	var best *branch
	for _, b := range sc.branches {
		if b.Descends && b.Reached {
			best = b
		}
		w.Timelines = append(w.Timelines, b.Timeline)
	}
	if best != nil {
		w.Timeline, w.Last, w.LastReason, w.Broken = best.ID, best.last.end, best.EndsWith, best.broken
		w.Newest, w.NewestEnd = best.last.newest, best.last.newestEnd
	}
	if sc.r.Stop != 0 {
		for _, b := range sc.branches {
			if b.Reached && b.ID == sc.r.StopTimeline && b.last.end >= sc.r.Stop {
				w.Consistent, w.ConsistentTimeline = sc.r.Stop, sc.r.StopTimeline
			}
		}
	}
	if w.Consistent == 0 {
		w.EarliestTime = time.Time{}
	}
	for i := range w.RestorePoints {
		p := &w.RestorePoints[i]
		b := sc.branch(p.Timeline)
		p.Reachable = w.Consistent != 0 && p.LSN >= w.Consistent && b.Reached
	}
	w.Latest = sc.latest()
	sc.gaps()
}

// latest is the timeline that a server goes to by itself: it asks for history
// files with ascending numbers until one is not there (findNewestTimeLine in
// timeline.c).
func (sc *scanner) latest() uint32 {
	id := sc.w.StartTimeline
	for {
		next := sc.branch(id + 1)
		if next == nil || !next.History {
			return id
		}
		id++
	}
}

// gaps lists the segments that are missing on the timelines that the backup can
// be recovered to, from where the reading ended.
func (sc *scanner) gaps() {
	for _, b := range sc.branches {
		if !b.Descends {
			continue
		}
		expect := wal.SegmentNumber(max(sc.w.Start, b.SwitchAt, b.End), sc.segSize)
		for _, r := range b.ranges {
			if r.Last < expect {
				continue
			}
			if r.First > expect {
				sc.gap(b, expect, r.First-1, r.First)
			}
			expect = r.Last + 1
		}
		// Up to where a child left, everything must be there; the segment of the switch itself is also in the child.
		for _, c := range sc.children(b) {
			if last := wal.SegmentNumber(c.SwitchAt, sc.segSize); len(c.ranges) > 0 && expect < last {
				sc.gap(b, expect, last-1, 0)
				break
			}
		}
	}
}

func (sc *scanner) gap(b *branch, first, last, next uint64) {
	g := Gap{Timeline: b.ID, First: wal.SegmentName(b.ID, first, sc.segSize), Last: wal.SegmentName(b.ID, last, sc.segSize), Segments: int64(last - first + 1)}
	if next != 0 {
		g.Next = wal.SegmentName(b.ID, next, sc.segSize)
	}
	sc.w.Gaps = append(sc.w.Gaps, g)
}
