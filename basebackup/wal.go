package basebackup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

// walSink is where the streamed WAL goes. It is ended by close when all of it
// is there, else by abort; both may be nil.
type walSink struct {
	walstream.Sink
	close func() error
	abort func()
}

// walStream receives the backup's WAL over a connection of its own. It is
// opened before the backup starts, so that the refusals that only this
// connection meets cost nobody a checkpoint, and so that its slot holds the WAL
// from before the start point on.
type walStream struct {
	o        *Options
	s        *site
	systemID uint64
	conn     *replproto.Conn
	slot     string
	dropSlot bool // the slot was made here and stays after the connection
	// abort ends the whole backup when the stream dies.
	abort context.CancelCauseFunc

	idle     *keepalive // until start
	receiver *walstream.Receiver
	begin    lsn.LSN // the first byte of WAL that is wanted
	sink     walSink
	stop     context.CancelFunc
	done     chan struct{} // closed when the receiver has ended with err
	err      error
}

func openWALStream(ctx context.Context, o *Options, s *site, systemID uint64, abort context.CancelCauseFunc) (*walStream, error) {
	conn, err := o.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn.SetNotice(o.Observer.Notice)
	w := &walStream{o: o, s: s, systemID: systemID, conn: conn, slot: o.Slot, abort: abort}
	if err := w.prepareSlot(ctx); err != nil {
		w.close(true)
		return nil, err
	}
	w.idle = keepAlive(ctx, conn, abort)
	return w, nil
}

// prepareSlot makes the slot, or sees that it is there and free.
func (w *walStream) prepareSlot(ctx context.Context) error {
	temporary := w.slot == "" && !w.o.NoSlot && w.s.version >= 100000
	switch {
	case temporary:
		w.slot = fmt.Sprintf("pg_basebackup_%d", w.conn.PID())
	case w.slot == "":
		return nil
	case !w.o.CreateSlot:
		return probeSlot(ctx, w.conn, w.slot)
	}
	if err := w.conn.CreatePhysicalSlot(ctx, w.slot, replproto.SlotOptions{Temporary: temporary, Reserve: true}); err != nil {
		return err
	}
	w.dropSlot = !temporary
	kind := "replication slot"
	if temporary {
		kind = "temporary replication slot"
	}
	w.o.Observer.info(fmt.Sprintf("created %s %q", kind, w.slot))
	return nil
}

// probeSlot streams from the slot for a moment: on every version this tells
// whether it exists, is physical and is not in use, without moving it.
func probeSlot(ctx context.Context, conn *replproto.Conn, slot string) error {
	system, err := conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	r, err := conn.StartReplication(ctx, replproto.ReplicationOptions{Slot: slot, Start: system.Position, Timeline: system.Timeline})
	if err != nil {
		return fmt.Errorf("could not use replication slot %q: %w", slot, err)
	}
	if err := r.Stop(); err != nil {
		return err
	}
	for err == nil {
		_, err = r.Receive()
	}
	if err != io.EOF {
		return err
	}
	_, err = r.End()
	return err
}

// start begins to receive from the beginning of the segment that holds the
// backup's start point. The sink is the stream's from here on.
func (w *walStream) start(ctx context.Context, sink walSink, start lsn.LSN, timeline uint32) error {
	w.sink = sink
	if err := w.idle.end(); err != nil {
		return err
	}
	var err error
	w.begin = wal.SegmentStart(wal.SegmentNumber(start, w.s.segmentSize), w.s.segmentSize)
	w.receiver, err = walstream.New(walstream.Options{
		Conn:           w.conn,
		SystemID:       w.systemID,
		Slot:           w.slot,
		Start:          w.begin,
		Timeline:       timeline,
		SegmentSize:    w.s.segmentSize,
		StatusInterval: w.o.statusInterval(),
		Sink:           sink,
		MarkDone:       true,
	})
	if err != nil {
		return err
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		if w.err = w.receiver.Run(ctx); w.err != nil && ctx.Err() == nil {
			w.err = fmt.Errorf("background process terminated unexpectedly: %w", w.err)
			w.abort(w.err)
		}
	}()
	return nil
}

// finish waits until all WAL up to the stop point has been stored, and returns
// how many bytes of WAL there were.
func (w *walStream) finish(stop lsn.LSN) (int64, error) {
	w.receiver.StopAt(stop)
	<-w.done
	if w.err != nil {
		return 0, w.err
	}
	received := int64(w.receiver.Progress().Written - w.begin)
	closeSink := w.sink.close
	w.sink = walSink{}
	if closeSink == nil {
		return received, nil
	}
	return received, closeSink()
}

// close ends the stream, wherever it is, and waits for that. After a failure a
// slot that was made for the backup goes too: it would keep the server's WAL
// forever.
func (w *walStream) close(failed bool) {
	if w.stop != nil {
		w.stop()
		<-w.done
	}
	// Closing the connection also ends a question that is not answered.
	w.conn.Close()
	w.idle.end()
	if w.sink.abort != nil {
		w.sink.abort()
	}
	if !failed || !w.dropSlot {
		return
	}
	dropSlot(w.o, w.slot)
}

const dropSlotTimeout = 20 * time.Second

// dropSlot drops a slot that was made for a backup which failed.
func dropSlot(o *Options, slot string) {
	o.Observer.cleanup(fmt.Sprintf("removing replication slot %q", slot))
	// The backup's context may be what ended it.
	ctx, cancel := context.WithTimeout(context.Background(), dropSlotTimeout)
	defer cancel()
	conn, err := o.Connect(ctx)
	if err == nil {
		// The process that used the slot may still be on its way out.
		err = errors.Join(conn.DropSlot(ctx, slot, true), conn.Close())
	}
	if err != nil {
		o.Observer.cleanup(fmt.Sprintf("failed to remove replication slot %q, which keeps WAL on the server until it is dropped: %v", slot, err))
	}
}

// keepalive asks a question now and then on a connection that waits for its
// turn: the server does not take it for abandoned (idle_session_timeout), and
// its loss is noticed when it happens.
type keepalive struct {
	once sync.Once
	quit chan struct{}
	done chan struct{}
	err  error
}

const keepaliveInterval = 10 * time.Second

func keepAlive(ctx context.Context, conn *replproto.Conn, abort context.CancelCauseFunc) *keepalive {
	k := &keepalive{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(k.done)
		tick := time.NewTicker(keepaliveInterval)
		defer tick.Stop()
		for {
			select {
			case <-k.quit:
				return
			case <-tick.C:
				if _, err := conn.IdentifySystem(ctx); err != nil {
					k.err = fmt.Errorf("connection for the WAL stream was lost: %w", err)
					abort(k.err)
					return
				}
			}
		}
	}()
	return k
}

// end stops asking; the connection is free then. It may be called again.
func (k *keepalive) end() error {
	if k == nil {
		return nil
	}
	k.once.Do(func() { close(k.quit) })
	<-k.done
	return k.err
}
