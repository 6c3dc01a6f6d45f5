package walstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// minServerVersion is the first whose messages this package reads.
const minServerVersion replproto.Version = 90300

// ErrTerminated means that the server ended the stream in good order, which it
// does when it is shut down, before the stop point was there.
var ErrTerminated = errors.New("replication stream was terminated before stop point")

// Options say what to receive, and into what.
type Options struct {
	Conn *replproto.Conn // used by Run alone until that returns; closed by the caller
	Sink Sink

	// Start is a segment's first byte, or any other position up to which Sink
	// has the segment already. The caller vouches for what is before that
	// segment: it is durable, or not wanted.
	Start    lsn.LSN
	Timeline uint32
	// SegmentSize is the server's, in bytes.
	SegmentSize int64
	// SystemID is compared with the server's; 0 leaves that out, and the check
	// of the timeline with it.
	SystemID uint64

	// Slot is the replication slot to use. With it the flush position is
	// reported, so that the slot advances, each time a segment is durable, and
	// before the first one the start of Start's segment, so that the slot keeps
	// WAL from there on.
	Slot string
	// Synchronous makes every batch of messages durable and reports that at
	// once, with or without a slot: for a synchronous standby. Without slot and
	// not Synchronous, no flush position is reported.
	Synchronous bool
	// StatusInterval is the time between status messages. 0 leaves it at those
	// that the server asks for and those sent while the sink is slow.
	StatusInterval time.Duration

	// MarkDone adds archive_status/<name>.done for every whole segment and
	// every history file, so that a server started on them does not archive
	// them again.
	MarkDone bool

	Observer Observer
}

// Observer is told what happens, on the goroutine of Run. Functions may be nil.
type Observer struct {
	SegmentFinished  func(timeline uint32, end lsn.LSN)
	TimelineSwitched func(timeline uint32, at lsn.LSN)
	// SegmentLeft tells of a segment that is closed in good order before it is
	// whole, at the stop point or the end of a timeline.
	SegmentLeft func(name string)
}

// Progress is how far a Receiver is. After Run has returned, Timeline and
// Written are where another Receiver can go on with the same sink.
type Progress struct {
	Timeline  uint32
	Received  lsn.LSN // everything before has arrived
	Written   lsn.LSN // everything before is in the sink
	Flushed   lsn.LSN // everything before is durable; 0 = not known
	ServerEnd lsn.LSN // what the server had when it sent its last message; 0 = not known
	// CaughtUp is when everything that the server had was last known to have
	// arrived; zero if it never was.
	CaughtUp time.Time
}

// Receiver streams WAL into a sink, once.
type Receiver struct {
	o       Options
	reports bool // flush positions

	stop      atomic.Uint64 // the stop point; 0 = none yet
	timeline  atomic.Uint32
	serverEnd atomic.Uint64
	received  atomic.Uint64
	caughtUp  atomic.Int64 // Unix nanoseconds; 0 = never
	status    reporter

	// The rest is for the goroutine of Run.
	pos      lsn.LSN      // end of what was received
	branch   wal.Ancestor // where the server said that the last timeline ended
	open     bool         // a segment is open in the sink
	name     string       // of that segment, or the last one
	start    lsn.LSN      // of the same
	buf      []byte       // the end of what was received and is not yet in the sink
	unsynced bool         // something was written since the last sync on this goroutine
	sync     backgroundSync
	cancel   context.CancelCauseFunc
	sinkErr  bool // the error that ended the stream is the sink's
}

// New checks the options.
func New(o Options) (*Receiver, error) {
	switch {
	case o.Conn == nil || o.Sink == nil:
		return nil, errors.New("a WAL receiver needs a connection and a sink")
	case !wal.ValidSegmentSize(o.SegmentSize):
		return nil, fmt.Errorf("WAL segment size must be a power of two between 1 MB and 1 GB, but the server reported a value of %d bytes", o.SegmentSize)
	case o.Start == 0 || o.Timeline == 0:
		return nil, fmt.Errorf("cannot stream WAL from position %s on timeline %d", o.Start, o.Timeline)
	}
	if v := o.Conn.ServerVersion(); v < minServerVersion {
		return nil, fmt.Errorf("incompatible server version %s; client does not support streaming from server versions older than %s",
			o.Conn.ServerVersionString(), minServerVersion.Major())
	}
	return newReceiver(o), nil
}

func newReceiver(o Options) *Receiver {
	r := &Receiver{o: o, reports: o.Slot != "" || o.Synchronous, buf: make([]byte, 0, bufferSize)}
	r.timeline.Store(o.Timeline)
	r.status.interval = o.StatusInterval
	r.status.write.Store(uint64(o.Start))
	r.received.Store(uint64(o.Start))
	r.pos = o.Start
	return r
}

// StopAt tells Run to return when all WAL before pos is in the sink. It may be
// called before and while Run runs, from any goroutine, and again: the last
// call counts.
func (r *Receiver) StopAt(pos lsn.LSN) {
	r.stop.Store(uint64(pos))
	// Either the receiving goroutine finds the new stop point before it waits,
	// or it waits, and the server's answer wakes it. If there is WAL to come
	// before pos, that does.
	if r.status.write.Load() >= uint64(pos) {
		r.status.ping()
	}
}

// Stop tells Run to return as soon as what was received is in the sink, and
// durable if the sink can do that.
func (r *Receiver) Stop() { r.StopAt(1) }

// Progress may be called from any goroutine. While Run runs, the fields are
// each up to date, but not all of the same moment.
func (r *Receiver) Progress() Progress {
	// Flushed first: it never exceeds a Written that is read later.
	flush := r.status.flush.Load()
	p := Progress{
		Timeline:  r.timeline.Load(),
		Flushed:   lsn.LSN(flush),
		Written:   lsn.LSN(r.status.write.Load()),
		Received:  lsn.LSN(r.received.Load()),
		ServerEnd: lsn.LSN(r.serverEnd.Load()),
	}
	if t := r.caughtUp.Load(); t != 0 {
		p.CaughtUp = time.Unix(0, t)
	}
	return p
}

// heard notes what a message told of the server's end, and what has arrived.
func (r *Receiver) heard(end, received lsn.LSN) {
	r.serverEnd.Store(uint64(end))
	r.received.Store(uint64(received))
	if received >= end {
		r.caughtUp.Store(time.Now().UnixNano())
	}
}

// Run receives until the stop point and returns nil exactly when all WAL before
// it is in the sink, synced if the sink can, with the last segment closed. It
// follows the server to later timelines. When ctx ends, it returns its cause, as
// soon as the sink returns from what it is doing.
//
// After an error during the stream the connection is of no use any more. After
// nil it is, unless it was lost while the stream was being ended, which loses
// nothing.
func (r *Receiver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	if err := r.checkSystem(ctx); err != nil {
		return err
	}
	for {
		if err := r.fetchHistory(ctx); err != nil {
			return err
		}
		if r.reached(r.pos) {
			return nil
		}
		next, err := r.stream(ctx)
		if err != nil || next == nil {
			return err
		}
		r.follow(next)
	}
}

// reached tells whether all WAL up to the stop point was received.
func (r *Receiver) reached(pos lsn.LSN) bool {
	stop := r.stop.Load()
	return stop != 0 && uint64(pos) >= stop
}

// backgroundSync is the one sync that may be under way beside the writing.
type backgroundSync struct {
	wg  sync.WaitGroup
	err error // of the last one; after wait only
}

func (b *backgroundSync) start(f func() error) {
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		b.err = f()
	}()
}

func (b *backgroundSync) wait() error {
	b.wg.Wait()
	return b.err
}
