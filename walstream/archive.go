package walstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

const (
	// firstPause and maxPause bound the time between attempts to connect, and
	// between those to go on when a disk is full. pg_receivewal waits 5 seconds.
	firstPause = time.Second
	maxPause   = 5 * time.Second

	// stopPatience is how long a stop waits for the server to take leave. What
	// was received is durable without that.
	stopPatience = 5 * time.Second
)

// ArchiveOptions say what an archive is to hold and where it comes from.
type ArchiveOptions struct {
	// Connect makes a connection. It is called again after each loss, and may
	// lead to another server of the same cluster then. How long a server may be
	// silent is the connection's ServerTimeout; an idle one is asked whether it is
	// there.
	Connect func(ctx context.Context) (*replproto.Conn, error)

	Dir         string     // must exist
	Compression codec.Spec // of segments; the zero value keeps them as they are
	// NoSync leaves it to the operating system when files become durable. No
	// flush position is reported then.
	NoSync bool

	Slot           string        // to use; "" is none
	Synchronous    bool          // see Options
	StatusInterval time.Duration // see Options

	// EndPos ends the archive as soon as WAL beyond it was received; 0 = never.
	EndPos lsn.LSN
	// NoLoop makes the first loss of the connection the end.
	NoLoop bool

	Observer ArchiveObserver
}

// ArchiveObserver is told what happens. Its functions may be nil. They are
// called on the goroutine of Run, except that Full and Synced may also be called
// on another, by a sync beside the writing.
type ArchiveObserver struct {
	Observer
	// Started: WAL is asked for from there on. It is called for each connection.
	Started func(Position)
	// Stopped: EndPos was reached.
	Stopped func(Position)
	// Warning is about what stops nothing.
	Warning func(text string)
	// Lost: the connection, or the attempt to make one, ended with err. If there
	// is another attempt, Waiting follows.
	Lost    func(err error)
	Waiting func(pause time.Duration)
	// Full: there is no room, and the archive waits for some. Room: it goes on.
	Full func(err error)
	Room func()
	// Synced: a sync took so long.
	Synced func(took time.Duration)
}

// ErrDisconnected is how an archive with NoLoop ends.
var ErrDisconnected = errors.New("disconnected")

// ErrSystemChanged means that a server is not of the cluster that the archive is
// of.
var ErrSystemChanged = errors.New("system identifier does not match between the archive and the server")

// A DivergedError says that the server's history does not come from the timeline
// that the archive is on: the archive follows another branch.
type DivergedError struct {
	Timeline uint32 // of the archive
	Server   uint32 // timeline of the server
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("timeline %d is not in the history of timeline %d, which the server is on", e.Timeline, e.Server)
}

// A SlotError says that a replication slot cannot be used.
type SlotError struct {
	Slot   string
	Reason string // "does not exist", ...
}

func (e *SlotError) Error() string {
	return fmt.Sprintf("replication slot \"%s\" %s", e.Slot, e.Reason)
}

// ArchiveStatus is how an archive is doing.
type ArchiveStatus struct {
	Progress         // of the last connection
	Streaming  bool  // WAL is coming, or would
	Full       bool  // there is no room
	Reconnects int64 // connections made after the first
	Segments   int64 // finished by this Archiver
	LastError  error // nil if there was none
	ErrorAt    time.Time
}

// Archiver keeps an archive of a cluster's WAL.
type Archiver struct {
	o ArchiveOptions

	mu       sync.Mutex
	receiver *Receiver // of the last connection; nil before the first
	status   ArchiveStatus
	durable  lsn.LSN     // end of the last segment that was finished and synced
	full     atomic.Bool // there is no room

	// The rest is for the goroutine of Run.
	system      uint64 // 0 = not known yet
	segmentSize int64
	pos         Position // where to go on; zero = not known yet
	reached     bool     // EndPos
	file, dir   fs.FileMode
}

// NewArchiver checks the options.
func NewArchiver(o ArchiveOptions) (*Archiver, error) {
	if o.Connect == nil || o.Dir == "" {
		return nil, errors.New("a WAL archive needs a connection and a directory")
	}
	if o.Compression.Algorithm != codec.None {
		if _, err := NewCompressed(DirectoryOptions{Path: o.Dir}, o.Compression); err != nil {
			return nil, err
		}
	}
	if o.NoSync && o.Synchronous {
		return nil, errors.New("a WAL archive that is not synced cannot be synchronous")
	}
	return &Archiver{o: o}, nil
}

// Status may be called from any goroutine.
func (a *Archiver) Status() ArchiveStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	s.Full = a.full.Load()
	if a.receiver != nil {
		s.Progress = a.receiver.Progress()
		s.Flushed = max(s.Flushed, a.durable)
	}
	return s
}

// Run receives WAL until EndPos is reached or ctx ends, and returns nil then: what
// was received is in the archive, synced and reported to the server, and the last
// segment has the suffix ".partial". It connects again when a connection is lost.
//
// Failures that another attempt would meet again end it: those of the first
// connection; a slot that does not exist or was invalidated; WAL that the server
// has removed; a server of another cluster or of another branch of its history
// (ErrSystemChanged, *DivergedError); missing privileges; a *GapError in the
// directory; a failed sync. With NoLoop every loss does, with ErrDisconnected
// after Lost was told.
func (a *Archiver) Run(ctx context.Context) error {
	pause := firstPause
	for first := true; ; first = false {
		begun := a.pos
		err := a.attempt(ctx, first)
		a.streaming(nil)
		switch {
		case ctx.Err() != nil && a.system == 0:
			return context.Cause(ctx)
		case a.reached, ctx.Err() != nil && !broken(err):
			return nil
		}
		a.note(err)
		if a.system == 0 || permanent(err) {
			return err
		}
		if f := a.o.Observer.Lost; f != nil {
			f(err)
		}
		if a.o.NoLoop {
			return ErrDisconnected
		}
		if a.pos != begun {
			pause = firstPause
		}
		if f := a.o.Observer.Waiting; f != nil {
			f(pause)
		}
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, maxPause)
	}
}

// sleep returns false if ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *Archiver) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.LastError, a.status.ErrorAt = err, time.Now()
}

func (a *Archiver) streaming(r *Receiver) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Streaming = r != nil
	if r != nil {
		a.receiver, a.durable = r, 0
	}
}

// attempt makes one connection and streams until it ends.
func (a *Archiver) attempt(ctx context.Context, first bool) error {
	conn, err := a.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := a.identify(ctx, conn); err != nil {
		return err
	}
	if !first {
		a.mu.Lock()
		a.status.Reconnects++
		a.mu.Unlock()
	}
	return a.stream(ctx, conn)
}

// identify makes sure that the connection leads to the archive's cluster, and
// finds out where to go on.
func (a *Archiver) identify(ctx context.Context, conn *replproto.Conn) error {
	if v := conn.ServerVersion(); v < minServerVersion {
		return &final{fmt.Errorf("incompatible server version %s; client does not support streaming from server versions older than %s",
			conn.ServerVersionString(), minServerVersion.Major())}
	}
	sys, err := conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	size, err := conn.SegmentSize(ctx)
	if err != nil {
		return err
	}
	if a.system != 0 && (a.system != sys.ID || a.segmentSize != size) {
		return ErrSystemChanged
	}
	mode, err := conn.DirMode(ctx)
	if err != nil {
		return err
	}
	a.system, a.segmentSize = sys.ID, size
	a.dir, a.file = mode, mode&0o660
	pos := a.pos
	if pos.Timeline == 0 {
		if pos, err = a.begin(ctx, conn, sys); err != nil {
			return err
		}
	}
	if err := a.branch(ctx, conn, &pos, sys.Timeline); err != nil {
		return err
	}
	a.pos = pos
	return nil
}

// begin finds the start point: in the directory, else from the slot, else where
// the server is.
func (a *Archiver) begin(ctx context.Context, conn *replproto.Conn, sys replproto.System) (Position, error) {
	pos, newest, err := archiveEnd(a.o.Dir, a.segmentSize, a.o.Observer.Warning)
	if err != nil {
		return Position{}, &final{err}
	}
	if pos.Timeline != 0 {
		name := newest.Name(a.segmentSize)
		if id := segmentSystem(filepath.Join(a.o.Dir, name), a.segmentSize); id != 0 && id != sys.ID {
			return Position{}, fmt.Errorf("%w: \"%s\" is of %d, the server is %d", ErrSystemChanged, name, id, sys.ID)
		}
		if err := a.syncNewest(name); err != nil {
			return Position{}, &final{err}
		}
	}
	if pos.Timeline == 0 && a.o.Slot != "" && conn.ServerVersion() >= slotReadVersion {
		if pos, err = a.slotPosition(ctx, conn, sys); err != nil {
			return Position{}, err
		}
	}
	if pos.Timeline == 0 {
		pos = Position{sys.Timeline, sys.Position}
	}
	pos.LSN -= lsn.LSN(wal.SegmentOffset(pos.LSN, a.segmentSize))
	return pos, nil
}

// syncNewest makes durable what the archive ends with: the server is told that
// nothing before the start point is needed any more, and whoever stored the
// newest segment may have been killed between its last steps.
func (a *Archiver) syncNewest(name string) error {
	if a.o.NoSync {
		return nil
	}
	if err := durable.SyncFile(filepath.Join(a.o.Dir, name)); err != nil {
		return err
	}
	return durable.SyncDir(a.o.Dir)
}

// slotReadVersion is the first with READ_REPLICATION_SLOT.
const slotReadVersion replproto.Version = 150000

func (a *Archiver) slotPosition(ctx context.Context, conn *replproto.Conn, sys replproto.System) (Position, error) {
	slot, err := conn.ReadSlot(ctx, a.o.Slot)
	switch {
	case err != nil:
		return Position{}, err
	case slot.Type == "":
		return Position{}, &SlotError{a.o.Slot, "does not exist"}
	case slot.Type != "physical":
		return Position{}, &final{fmt.Errorf("expected a physical replication slot, got type \"%s\" instead", slot.Type)}
	case slot.RestartLSN == 0:
		return Position{}, nil
	}
	pos := Position{slot.RestartTimeline, slot.RestartLSN}
	if pos.Timeline == 0 {
		pos.Timeline = sys.Timeline
	}
	return pos, nil
}

// branch finds the way from the archive's timeline to the server's. WAL of a
// timeline beyond the point where the server's history left it is not on the
// server: the archive goes on where the branch begins.
func (a *Archiver) branch(ctx context.Context, conn *replproto.Conn, pos *Position, server uint32) error {
	if pos.Timeline == server {
		return nil
	}
	if pos.Timeline > server {
		// It may be a standby that has not followed yet, or not the host that
		// will be reached next time.
		return fmt.Errorf("starting timeline %d is not present in the server", pos.Timeline)
	}
	_, ancestors, err := history(ctx, conn, server)
	if err != nil {
		return err
	}
	for i, t := range ancestors {
		if t.Timeline != pos.Timeline {
			continue
		}
		if pos.LSN <= t.End {
			return nil
		}
		next := server
		if i+1 < len(ancestors) {
			next = ancestors[i+1].Timeline
		}
		if f := a.o.Observer.Warning; f != nil {
			f(fmt.Sprintf("timeline %d goes on at %s on the server, where timeline %d begins; the archive has WAL of timeline %d up to %s that the server has not",
				t.Timeline, t.End, next, t.Timeline, pos.LSN))
		}
		pos.Timeline = next
		pos.LSN = wal.SegmentStart(wal.SegmentNumber(t.End, a.segmentSize), a.segmentSize)
		return nil
	}
	return &DivergedError{Timeline: pos.Timeline, Server: server}
}

// archiveSink is a sink that is closed after use.
type archiveSink interface {
	Sink
	Close() error
	failed() error
}

// sink makes a new one for each connection: what failed with one says nothing
// about the next. ctx ends the waiting for room.
func (a *Archiver) sink(ctx context.Context) (archiveSink, error) {
	o := DirectoryOptions{
		Path: a.o.Dir, Partial: true, NoSync: a.o.NoSync, ZeroFill: a.o.Synchronous,
		FileMode: a.file, DirMode: a.dir, Synced: a.o.Observer.Synced,
		Full: func(err error) error { return a.wait(ctx, err) },
	}
	if a.o.Compression.Algorithm != codec.None {
		return NewCompressed(o, a.o.Compression)
	}
	return NewDirectory(o), nil
}

// wait lets some time pass while there is no room.
func (a *Archiver) wait(ctx context.Context, err error) error {
	if !a.full.Swap(true) {
		a.note(err)
		if f := a.o.Observer.Full; f != nil {
			f(err)
		}
	}
	if !sleep(ctx, firstPause) {
		return context.Cause(ctx)
	}
	return nil
}

// room is called when something was stored.
func (a *Archiver) room() {
	if !a.full.Load() {
		return
	}
	a.full.Store(false)
	if f := a.o.Observer.Room; f != nil {
		f()
	}
}

// stream receives on one connection.
func (a *Archiver) stream(ctx context.Context, conn *replproto.Conn) error {
	sink, err := a.sink(ctx)
	if err != nil {
		return err
	}
	defer sink.Close()
	r, err := New(Options{
		Conn: conn, Sink: roomSink{sink, a},
		Start: a.pos.LSN, Timeline: a.pos.Timeline, SegmentSize: a.segmentSize,
		Slot: a.o.Slot, Synchronous: a.o.Synchronous, StatusInterval: a.o.StatusInterval,
		Observer: a.observer(),
	})
	if err != nil {
		return err
	}
	if a.o.EndPos != 0 {
		r.StopAt(a.o.EndPos + 1)
	}
	a.streaming(r)
	if f := a.o.Observer.Started; f != nil {
		f(a.pos)
	}
	err = a.run(ctx, r)
	p := r.Progress()
	a.pos = Position{p.Timeline, p.Written}
	if r.sinkErr || a.o.Compression.Algorithm != codec.None {
		// The segment is begun again.
		a.pos.LSN -= lsn.LSN(wal.SegmentOffset(p.Written, a.segmentSize))
	}
	if err != nil {
		if failed := sink.failed(); failed != nil && !NoRoom(failed) {
			return &final{err}
		}
		return err
	}
	if a.o.EndPos != 0 && p.Written > a.o.EndPos {
		a.reached = true
		if f := a.o.Observer.Stopped; f != nil {
			f(Position{p.Timeline, p.Written})
		}
	}
	return nil
}

// run runs r and, when ctx ends, stops it in good order.
func (a *Archiver) run(ctx context.Context, r *Receiver) error {
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		impatient := time.AfterFunc(stopPatience, func() { cancel(context.Cause(ctx)) })
		r.Stop()
		<-ended
		impatient.Stop()
	})
	err := r.Run(running)
	close(ended)
	watcher.Wait()
	return err
}

// observer passes on what the receiver tells, and counts.
func (a *Archiver) observer() Observer {
	o := a.o.Observer.Observer
	finished := o.SegmentFinished
	o.SegmentFinished = func(timeline uint32, end lsn.LSN) {
		a.mu.Lock()
		a.status.Segments++
		if !a.o.NoSync {
			a.durable = end
		}
		a.mu.Unlock()
		if finished != nil {
			finished(timeline, end)
		}
	}
	if left := o.SegmentLeft; left != nil {
		o.SegmentLeft = func(name string) { left(name + a.o.Compression.Algorithm.Suffix() + PartialSuffix) }
	}
	return o
}

// roomSink notices that there is room again.
type roomSink struct {
	archiveSink
	a *Archiver
}

func (s roomSink) OpenSegment(seg Segment) error {
	err := s.archiveSink.OpenSegment(seg)
	if err == nil {
		s.a.room()
	}
	return err
}

func (s roomSink) Write(p []byte) (int, error) {
	n, err := s.archiveSink.Write(p)
	if err == nil {
		s.a.room()
	}
	return n, err
}
