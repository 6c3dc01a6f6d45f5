package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/pgbasin/pgbasin/inspect"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// TargetError says that recovery cannot end where it was asked to.
type TargetError struct {
	Target string // "time 2016-02-13 11:50:00", "LSN 0/E6000028"
	Reason string
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("recovery cannot end at %s: %s", e.Target, e.Reason)
}

// describe names the target as it was given; "" if there is none to look for.
func describe(t *recoveryconf.Target) string {
	switch {
	case t.Time != "":
		return "time " + t.Time
	case t.LSN != 0:
		return "LSN " + t.LSN.String()
	case t.XID != "":
		return "transaction " + t.XID
	case t.Name != "":
		return fmt.Sprintf("restore point %q", t.Name)
	}
	return ""
}

// checkTarget refuses targets that recovery cannot reach: those before the
// backup is consistent, and, when the WAL can be read here, those that it does
// not lead to.
func (p *Plan) checkTarget(ctx context.Context, archive *walarchive.Archive) error {
	t := &p.o.Recovery.Target
	if describe(t) == "" {
		return nil
	}
	if err := p.findStop(ctx, archive); err != nil {
		return err
	}
	if err := p.checkTooEarly(t); err != nil {
		return err
	}
	if archive == nil || p.Start == 0 || p.Version == 0 {
		return nil
	}
	return p.checkReach(ctx, archive, t)
}

// findStop looks up where the backup ended, if it does not know by itself: a
// backup history file of the archive tells.
func (p *Plan) findStop(ctx context.Context, archive *walarchive.Archive) error {
	if p.Stop != 0 || archive == nil || p.head.Label == nil {
		return nil
	}
	h, err := inspect.BackupHistory(archive, p.head.Label)
	if h != nil {
		p.Stop = h.Stop
	}
	return err
}

// checkTooEarly compares the target with what the backup says of itself.
func (p *Plan) checkTooEarly(t *recoveryconf.Target) error {
	switch {
	case t.LSN != 0 && p.Stop != 0 && t.LSN < p.Stop:
		return &TargetError{describe(t), fmt.Sprintf("the backup is consistent only from its stop point %v on", p.Stop)}
	case t.LSN != 0 && p.Start != 0 && t.LSN <= p.Start:
		return &TargetError{describe(t), fmt.Sprintf("the backup starts at %v", p.Start)}
	case t.Time != "" && p.head.Label != nil:
		_, latest, ok := recoveryconf.ParseTime(t.Time)
		earliest, _, known := p.head.Label.StartSpan()
		if ok && known && latest.Before(earliest) {
			return &TargetError{describe(t), "the backup was started after it, at " + p.head.Label.StartTimeText}
		}
	}
	return nil
}

// checkReach reads the WAL from the backup on, in the archive and in the backup,
// until recovery would end.
func (p *Plan) checkReach(ctx context.Context, archive *walarchive.Archive, t *recoveryconf.Target) error {
	src, closer := inspect.Source(p.set, p.head, archive)
	defer closer.Close()
	o, err := p.readerOptions(ctx, archive, src, t)
	if err != nil || o.Start == 0 {
		return err
	}
	exact := true
	goal := inspect.Target{LSN: t.LSN, Name: t.Name, Exclusive: t.Exclusive}
	if t.XID != "" {
		xid, err := strconv.ParseUint(t.XID, 10, 64)
		if err != nil {
			return &TargetError{describe(t), "it is not the number of a transaction"}
		}
		goal.XID = uint32(xid) // the server looks at no more of it
	}
	if t.Time != "" {
		earliest, latest, ok := recoveryconf.ParseTime(t.Time)
		if !ok {
			return nil // the server may know what it means
		}
		// Without a zone the time is the server's: what no zone allows is refused.
		goal.Time = earliest
		if exact = earliest.Equal(latest); !exact {
			goal.Exclusive = false
		}
	}
	r, err := inspect.Reach(ctx, src, o, goal)
	var broken *wal.RecordError
	switch {
	case errors.As(err, &broken):
		return &TargetError{describe(t), fmt.Sprintf("the WAL before it is damaged: %v", err)}
	case err != nil:
		return err
	case !r.Found:
		return &TargetError{describe(t), "the WAL archive does not lead to it: " + upTo(&r)}
	case exact && r.At < p.Stop:
		return &TargetError{describe(t), fmt.Sprintf("it is at %v, and the backup is consistent only from its stop point %v on", r.At, p.Stop)}
	}
	return nil
}

// upTo says how far the WAL leads.
func upTo(r *inspect.Reached) string {
	text := fmt.Sprintf("it ends at %v on timeline %d", r.Last, r.Timeline)
	if !r.Newest.Time.IsZero() {
		text += fmt.Sprintf(", and the last transaction before that was committed at %s", r.Newest.Time.Format("2006-01-02 15:04:05.999999Z07:00"))
	}
	return text
}

// readerOptions say where to begin to read, and along which timeline. Start is 0
// when that cannot be told.
func (p *Plan) readerOptions(ctx context.Context, archive *walarchive.Archive, src wal.Source, t *recoveryconf.Target) (o wal.ReaderOptions, err error) {
	if o.SegmentSize, err = archive.SegmentSize(); err != nil || o.SegmentSize == 0 {
		return o, err
	}
	o.SystemID = p.SystemID
	wanted := t.Timeline
	switch {
	case wanted != "":
	case p.Version >= recoveryconf.ParametersVersion:
		wanted = "latest"
	default:
		wanted = "current"
	}
	o.Timeline, o.History, err = inspect.TargetTimeline(archive, p.Timeline, wanted)
	var descent *inspect.DescentError
	switch {
	case errors.As(err, &descent):
		return o, &TargetError{fmt.Sprintf("%s on timeline %d", describe(t), descent.Timeline), err.Error()}
	case errors.Is(err, fs.ErrNotExist):
		return o, &TargetError{fmt.Sprintf("%s on timeline %s", describe(t), wanted), "the WAL archive has no history of that timeline"}
	case err != nil:
		return o, err
	}
	if at := wal.TimelineAt(o.Timeline, o.History, p.Start); at != p.Timeline {
		return o, &TargetError{fmt.Sprintf("%s on timeline %d", describe(t), o.Timeline),
			fmt.Sprintf("that timeline left the backup's, which is %d, before the backup started at %v", p.Timeline, p.Start)}
	}
	// WAL in a compressed backup without a tar of its own is not known yet: what
	// is behind the stop point can do without it.
	candidates := []lsn.LSN{p.Start}
	if p.Stop != 0 {
		n := wal.SegmentNumber(p.Stop, o.SegmentSize)
		candidates = append(candidates, wal.SegmentStart(n, o.SegmentSize), wal.SegmentStart(n+1, o.SegmentSize))
	}
	for _, pos := range candidates {
		there, err := has(src, wal.TimelineAt(o.Timeline, o.History, pos), wal.SegmentNumber(pos, o.SegmentSize))
		if err != nil {
			return o, err
		}
		if there {
			o.Start = pos
			return o, nil
		}
		if ctx.Err() != nil {
			return o, context.Cause(ctx)
		}
	}
	return o, &TargetError{describe(t), "the WAL archive has nothing that follows the backup"}
}
