package walstream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// checkSystem makes sure that the connection leads to the cluster that the
// caller means.
func (r *Receiver) checkSystem(ctx context.Context) error {
	if r.o.SystemID == 0 {
		return nil
	}
	sys, err := r.o.Conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	if sys.ID != r.o.SystemID {
		return errors.New("system identifier does not match between base backup and streaming connection")
	}
	if r.o.Timeline > sys.Timeline {
		return fmt.Errorf("starting timeline %d is not present in the server", r.o.Timeline)
	}
	return nil
}

// fetchHistory stores the history of the timeline that is about to be streamed,
// unless the sink has it. Timeline 1 has none.
func (r *Receiver) fetchHistory(ctx context.Context) error {
	timeline := r.timeline.Load()
	if timeline == 1 {
		return nil
	}
	want := wal.HistoryName(timeline)
	if have, err := r.o.Sink.Exists(want); have || err != nil {
		return err
	}
	content, ancestors, err := history(ctx, r.o.Conn, timeline)
	if err != nil {
		return err
	}
	if b := r.branch; b != (wal.Ancestor{}) && !slices.Contains(ancestors, b) {
		return fmt.Errorf("server ended timeline %d at %s, but its history of timeline %d does not say so", b.Timeline, b.End, timeline)
	}
	if err := r.o.Sink.WriteFile(want, content); err != nil {
		return fmt.Errorf("could not write timeline history file %q: %w", want, err)
	}
	return r.markDone(want)
}

// history fetches the history of a timeline, and refuses what no server could start
// on (readTimeLineHistory in the server's timeline.c) and what names no ancestor.
func history(ctx context.Context, conn *replproto.Conn, timeline uint32) (content []byte, ancestors []wal.Ancestor, err error) {
	name, content, err := conn.TimelineHistory(ctx, timeline)
	if err != nil {
		return nil, nil, err
	}
	if want := wal.HistoryName(timeline); name != want {
		return nil, nil, fmt.Errorf("server reported unexpected history file name for timeline %d: %q", timeline, name)
	}
	ancestors, err = wal.ParseHistory(content)
	if err == nil && len(ancestors) == 0 {
		err = errors.New("it names no timeline that it comes from")
	} else if err == nil && ancestors[len(ancestors)-1].Timeline >= timeline {
		err = fmt.Errorf("it comes from timeline %d", ancestors[len(ancestors)-1].Timeline)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("could not read the history of timeline %d that the server sent: %w", timeline, err)
	}
	return content, ancestors, nil
}

// markDone stores an archive status file, if that was asked for.
func (r *Receiver) markDone(name string) error {
	if !r.o.MarkDone {
		return nil
	}
	status := "archive_status/" + name + ".done"
	if err := r.o.Sink.WriteFile(status, nil); err != nil {
		return fmt.Errorf("could not create archive status file %q: %w", status, err)
	}
	return nil
}

// endOfTimeline checks what the server said after it came to the end of the
// timeline.
func (r *Receiver) endOfTimeline(next *replproto.TimelineSwitch) error {
	timeline := r.timeline.Load()
	if next.Timeline <= timeline {
		return fmt.Errorf("server reported unexpected next timeline %d, following timeline %d", next.Timeline, timeline)
	}
	if next.Start == 0 {
		return fmt.Errorf("server reported that timeline %d ended at %s", timeline, next.Start)
	}
	// It can be less: the server may have sent the beginning of a record that
	// never got its end.
	if next.Start > r.pos {
		return fmt.Errorf("server stopped streaming timeline %d at %s, but reported next timeline %d to begin at %s",
			timeline, r.pos, next.Timeline, next.Start)
	}
	return nil
}

// follow makes the next timeline the one to stream, from the start of the
// segment in which it branched off: that segment exists on both.
func (r *Receiver) follow(next *replproto.TimelineSwitch) {
	if f := r.o.Observer.TimelineSwitched; f != nil {
		f(next.Timeline, next.Start)
	}
	r.branch = wal.Ancestor{Timeline: r.timeline.Load(), End: next.Start}
	size := r.o.SegmentSize
	r.pos = wal.SegmentStart(wal.SegmentNumber(next.Start, size), size)
	r.timeline.Store(next.Timeline)
	r.status.flush.Store(0)
	r.status.write.Store(uint64(r.pos))
}
