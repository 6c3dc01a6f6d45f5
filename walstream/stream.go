package walstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// bufferSize is how much of a batch of small messages goes to the sink in one
// write, in bytes. The server's messages have 128 kB at most
// (MAX_SEND_SIZE in walsender.c); such large ones are passed on as they are.
const bufferSize = 128 << 10

// replication is what this package needs of a *replproto.Replication.
type replication interface {
	Receive() (replproto.Message, error)
	Buffered() bool
	Arrived() bool
	SendStatus(replproto.Status) error
	Stop() error
	End() (*replproto.TimelineSwitch, error)
}

// errNoFarewell ends a connection that is not needed any more.
var errNoFarewell = errors.New("server does not take leave")

// stream streams the current timeline from r.pos on. It returns where the next
// timeline begins, or nil if the stop point was reached.
func (r *Receiver) stream(ctx context.Context) (*replproto.TimelineSwitch, error) {
	rep, err := r.o.Conn.StartReplication(ctx, replproto.ReplicationOptions{
		Slot: r.o.Slot, Start: r.pos, Timeline: r.timeline.Load(),
	})
	if err != nil {
		return nil, err
	}
	return r.receive(rep)
}

// receive runs a stream from its first message to its end, and has no
// goroutines left when it returns.
func (r *Receiver) receive(rep replication) (next *replproto.TimelineSwitch, err error) {
	if r.o.Slot != "" {
		// Lets a slot that reserves nothing yet reserve from here on.
		r.status.flush.Store(uint64(r.pos) - uint64(wal.SegmentOffset(r.pos, r.o.SegmentSize)))
	}
	r.status.begin(rep)
	done, err := r.messages(rep)
	if err == nil && done {
		err = r.finish()
	} else if err == nil {
		err = r.closeSegment()
	}
	if err != nil {
		// Interrupts a status message that does not get through as well.
		r.cancel(err)
		r.status.end()
		return nil, r.abandon(err)
	}
	if done {
		// The result stands: whatever happens to the connection from here on
		// is not worth an error, nor a long wait, and its next user will be told.
		impatient := time.AfterFunc(stopPatience, func() { r.cancel(errNoFarewell) })
		defer impatient.Stop()
		if r.status.stop() == nil && drain(rep) == nil {
			rep.End()
		}
		r.status.end()
		return nil, nil
	}

	r.status.end()
	if next, err = rep.End(); err != nil {
		return nil, err
	}
	if next == nil {
		return nil, ErrTerminated
	}
	return next, r.endOfTimeline(next)
}

// messages takes what the server sends, until the stop point is reached (done)
// or the server ends the stream. What is in buf and in the open segment is left
// there.
func (r *Receiver) messages(rep replication) (done bool, err error) {
	r.status.working()
	if err := r.takeUp(); err != nil {
		return false, err
	}
	joined := false
	for {
		if !rep.Buffered() {
			// Nothing more without waiting: the batch ends. What came while it was
			// written joins it, but only once, so that it is not kept waiting.
			if err := r.flushBuffer(); err != nil {
				return false, err
			}
			if joined = r.toSync() && !joined && rep.Arrived(); joined {
				continue
			}
			if err := r.endBatch(); err != nil {
				return false, err
			}
			if r.reached(r.pos) {
				return true, nil
			}
			r.status.waiting()
		}
		m, err := rep.Receive()
		r.status.working()
		if err == nil {
			err = r.status.err()
		}
		if err != nil && r.reached(r.pos) {
			return true, nil // told while waiting: the server is not needed any more
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		switch m := m.(type) {
		case *replproto.XLogData:
			r.heard(m.ServerEnd, m.Start+lsn.LSN(len(m.Data)))
			err = r.data(m, rep.Buffered())
		case *replproto.Keepalive:
			r.heard(m.ServerEnd, r.pos)
			if m.ReplyRequested {
				err = r.reply()
			}
		}
		if err != nil {
			return false, err
		}
		if r.reached(r.pos) {
			return true, nil
		}
	}
}

// takeUp opens a segment that is gone on with in its middle, if flush positions
// are reported. What it has may be all that the server's commits wait for: it is
// to be synced, again perhaps, and reported without waiting for more.
func (r *Receiver) takeUp() error {
	if !r.reports || wal.SegmentOffset(r.pos, r.o.SegmentSize) == 0 {
		return nil
	}
	r.unsynced = true
	return r.openSegment()
}

// data takes a piece of WAL, which must begin where the last one ended. more
// tells that other messages follow at once.
func (r *Receiver) data(x *replproto.XLogData, more bool) error {
	if x.Start != r.pos {
		return r.misplaced(x.Start)
	}
	if uint64(len(x.Data)) > math.MaxUint64-uint64(x.Start) {
		return fmt.Errorf("got %d bytes of WAL data at %s, beyond the last position there is", len(x.Data), x.Start)
	}
	p := x.Data
	for len(p) > 0 {
		if err := r.openSegment(); err != nil {
			return err
		}
		n := int(min(int64(len(p)), r.o.SegmentSize-wal.SegmentOffset(r.pos, r.o.SegmentSize)))
		if err := r.put(p[:n], more || n < len(p)); err != nil {
			return err
		}
		p = p[n:]
		r.pos += lsn.LSN(n)
		if wal.SegmentOffset(r.pos, r.o.SegmentSize) > 0 {
			continue
		}
		if err := r.closeSegment(); err != nil {
			return err
		}
		if r.reached(r.pos) {
			return nil // without the rest, which is in a segment not wanted
		}
	}
	return nil
}

func (r *Receiver) misplaced(start lsn.LSN) error {
	got, want := wal.SegmentOffset(start, r.o.SegmentSize), wal.SegmentOffset(r.pos, r.o.SegmentSize)
	if !r.open && want == 0 && got != 0 {
		return fmt.Errorf("received write-ahead log record for offset %d with no file open (at %s, expected %s)", got, start, r.pos)
	}
	return fmt.Errorf("got WAL data offset %08x, expected %08x (at %s, expected %s)", got, want, start, r.pos)
}

// put writes p, at once or together with what follows it in the batch.
func (r *Receiver) put(p []byte, more bool) error {
	if len(r.buf)+len(p) > cap(r.buf) {
		if err := r.flushBuffer(); err != nil {
			return err
		}
	}
	if len(r.buf) == 0 && (!more || len(p) >= cap(r.buf)/2) {
		return r.write(p)
	}
	r.buf = append(r.buf, p...)
	return nil
}

func (r *Receiver) flushBuffer() error {
	if len(r.buf) == 0 {
		return nil
	}
	err := r.write(r.buf)
	r.buf = r.buf[:0]
	return err
}

func (r *Receiver) write(p []byte) error {
	r.unsynced = true
	n, err := r.o.Sink.Write(p)
	r.status.write.Add(uint64(n))
	if err == nil && n < len(p) {
		err = fmt.Errorf("could not write %d bytes to WAL file %q: %w", len(p), r.name, io.ErrShortWrite)
	}
	return r.fromSink(err)
}

// openSegment opens the segment of r.pos, unless it is open.
func (r *Receiver) openSegment() error {
	if r.open {
		return nil
	}
	size := r.o.SegmentSize
	segno, offset := wal.SegmentNumber(r.pos, size), wal.SegmentOffset(r.pos, size)
	r.name, r.start = wal.SegmentName(r.timeline.Load(), segno, size), wal.SegmentStart(segno, size)
	err := r.o.Sink.OpenSegment(Segment{Name: r.name, Size: size, Offset: offset})
	r.open = err == nil
	return r.fromSink(err)
}

// closeSegment ends the open segment at r.pos, which for all but the last one
// is its end.
func (r *Receiver) closeSegment() error {
	if !r.open {
		return nil
	}
	if err := r.flushBuffer(); err != nil {
		return err
	}
	r.open = false
	whole := wal.SegmentOffset(r.pos, r.o.SegmentSize) == 0
	if f := r.o.Observer.SegmentLeft; f != nil && !whole {
		f(r.name)
	}
	if err := r.o.Sink.CloseSegment(); err != nil {
		// None of it counts as received, so that whoever goes on from here
		// makes the segment again.
		r.status.write.Store(uint64(r.start))
		return r.fromSink(err)
	}
	if !whole {
		return nil
	}
	if err := r.markDone(r.name); err != nil {
		return r.fromSink(err)
	}
	if f := r.o.Observer.SegmentFinished; f != nil {
		f(r.timeline.Load(), r.pos)
	}
	if r.reports && !r.o.Synchronous {
		return r.syncInBackground()
	}
	return nil
}

// toSync tells that the end of the batch is a sync.
func (r *Receiver) toSync() bool { return r.o.Synchronous && r.unsynced }

// endBatch syncs once for all that the batch brought, and reports that.
func (r *Receiver) endBatch() error {
	if !r.toSync() {
		return nil
	}
	return r.syncAndReport()
}

// reply answers the server's request for a status. With a flush position to
// report, the server may be waiting for just that, to shut down; but it is not
// kept waiting for the sync.
func (r *Receiver) reply() error {
	if err := r.flushBuffer(); err != nil {
		return err
	}
	r.status.report()
	if !r.reports || !r.unsynced {
		return nil
	}
	return r.syncAndReport()
}

// syncAndReport makes what was written durable and tells the server.
func (r *Receiver) syncAndReport() error {
	if err := r.sync.wait(); err != nil {
		return r.fromSink(err)
	}
	r.unsynced = false
	return r.fromSink(r.syncTo(r.status.write.Load()))
}

// syncInBackground does the same beside what follows. At most one such sync is
// under way.
func (r *Receiver) syncInBackground() error {
	if err := r.sync.wait(); err != nil {
		return r.fromSink(err)
	}
	written := r.status.write.Load()
	r.sync.start(func() error {
		err := r.syncTo(written)
		if err != nil {
			r.cancel(err) // the stream may be waiting for the server
		}
		return err
	})
	return nil
}

// syncTo makes what was written up to there durable and tells the server.
func (r *Receiver) syncTo(written uint64) error {
	durable, err := r.o.Sink.Sync()
	if err != nil || !r.reports {
		return err
	}
	if !durable {
		// Not known, rather than the start: a server that is shutting down
		// waits until a known flush position is the end of its WAL.
		written = 0
	}
	if r.status.flush.Swap(written) != written {
		r.status.report()
	}
	return nil
}

// finish closes the last segment, and makes durable and reports what the sink has.
func (r *Receiver) finish() error {
	if err := r.closeSegment(); err != nil {
		return err
	}
	if !r.unsynced {
		return r.fromSink(r.sync.wait())
	}
	return r.syncAndReport()
}

// abandon leaves the sink without an open segment after err.
func (r *Receiver) abandon(err error) error {
	r.buf = r.buf[:0]
	if e := r.sync.wait(); e != nil && !r.sinkErr {
		// The cause of the other one, through the stream's context.
		r.sinkErr, err = true, e
	}
	if !r.open {
		return err
	}
	r.open = false
	if e := r.o.Sink.CloseSegment(); e != nil {
		r.status.write.Store(uint64(r.start))
		if !r.sinkErr { // else it is the same trouble once more
			return errors.Join(err, e)
		}
	}
	return err
}

// fromSink notes that the sink, and not the server, is in trouble.
func (r *Receiver) fromSink(err error) error {
	if err != nil {
		r.sinkErr = true
	}
	return err
}

// drain reads what the server sent before it learned that the stream is over.
func drain(rep replication) error {
	for {
		if _, err := rep.Receive(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
