package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Target is where recovery is to end: the one of its fields that is set.
type Target struct {
	LSN  lsn.LSN
	XID  uint32
	Name string
	Time time.Time
	// Exclusive stops before the record in question (recovery_target_inclusive =
	// off): with a time, before transactions that ended at exactly that.
	Exclusive bool
}

// Reached says whether WAL leads to a target.
type Reached struct {
	Found bool
	// At is the record at which recovery stops, and End where that ends. With a target time it is the first transaction that is too late; recovery
	// ends before it.
	At, End  lsn.LSN
	Timeline uint32

	// What there is before At, or in all of the WAL when nothing was found.
	Newest Commit
	Last   lsn.LSN // end of the last record
	// Reason says why there is no more WAL; "" when the target was found.
	Reason string
}

// Reach reads WAL from o.Start on until recovery would stop at the target, as
// recoveryStopsBefore and recoveryStopsAfter have it in the server's
// xlogrecovery.c. That the WAL ends before is no error; that it is damaged there
// is (*wal.RecordError), and the answer holds what there is up to the damage.
func Reach(ctx context.Context, src wal.Source, o wal.ReaderOptions, t Target) (Reached, error) {
	if o.KeepBytes == 0 {
		o.KeepBytes = keepBytes
	}
	rd := wal.NewReader(src, o)
	defer rd.Close()
	r := Reached{Last: o.Start, Timeline: o.Timeline}
	for n := 0; rd.Next(); n++ {
		if n&1023 == 0 && ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		rec := rd.Record()
		if t.stopsAt(rec) {
			r.Found, r.At, r.End, r.Timeline = true, rec.LSN, rec.Next, wal.TimelineAt(o.Timeline, o.History, rec.LSN)
			return r, nil
		}
		if c, ok := commitOf(rec); ok {
			c.Timeline = wal.TimelineAt(o.Timeline, o.History, rec.LSN)
			r.Newest = c
		}
		r.Last = rec.Next
	}
	if r.Last > o.Start {
		r.Timeline = wal.TimelineAt(o.Timeline, o.History, r.Last-1)
	}
	r.Reason = rd.End().String()
	return r, rd.Err()
}

// TargetTimeline finds the timeline that recovery from a backup of timeline from goes along when it is asked for "latest", "current" or a
// number, and the ancestors of it, for Reach. As for the server, "latest" is the last one whose history file is there when they are
// asked for by ascending numbers (findNewestTimeLine in timeline.c), and it is an error if it does not go back to from.
func TargetTimeline(archive *walarchive.Archive, from uint32, target string) (tli uint32, history []wal.Ancestor, err error) {
	switch target {
	case "current":
		tli = from
	case "latest":
		for tli = from; ; tli++ {
			if _, err := archive.ReadHistory(tli + 1); errors.Is(err, fs.ErrNotExist) {
				break
			} else if err != nil {
				return 0, nil, err
			}
		}
	default:
		n, err := strconv.ParseUint(target, 10, 32)
		if err != nil || n == 0 {
			return 0, nil, fmt.Errorf("timeline %q is not a number, nor \"latest\" or \"current\"", target)
		}
		tli = uint32(n)
	}
	history, err = archive.ReadHistory(tli)
	if tli == from {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // WAL from a backup's start on needs none
		}
		return tli, history, err
	}
	if err != nil {
		return 0, nil, err
	}
	for _, a := range history {
		if a.Timeline == from {
			return tli, history, nil
		}
	}
	return 0, nil, &DescentError{tli, from}
}

// DescentError says that a timeline cannot be reached from a backup.
type DescentError struct{ Timeline, From uint32 }

func (e *DescentError) Error() string {
	return fmt.Sprintf("timeline %d does not go back to timeline %d, which the backup is of", e.Timeline, e.From)
}

func (t *Target) stopsAt(rec *wal.Record) bool {
	switch {
	case t.LSN != 0:
		return rec.LSN >= t.LSN
	case t.Name != "":
		name, _, ok := rec.RestorePoint()
		return ok && name == t.Name
	}
	x, ok := rec.Transaction()
	switch {
	case !ok || !x.Ends():
		return false
	case t.XID != 0:
		return x.XID == t.XID
	case t.Exclusive:
		return !x.Time.Before(t.Time)
	}
	return x.Time.After(t.Time)
}

// commitOf returns the commit that a record is.
func commitOf(rec *wal.Record) (Commit, bool) {
	if rec.RmgrID != wal.RmgrTransaction {
		return Commit{}, false
	}
	t, ok := rec.Transaction()
	if !ok || t.Kind != wal.Commit && t.Kind != wal.CommitPrepared {
		return Commit{}, false
	}
	return Commit{Time: t.Time, LSN: rec.LSN, End: rec.Next, XID: t.XID}, true
}
