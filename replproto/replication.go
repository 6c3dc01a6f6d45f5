package replproto

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/pgbasin/pgbasin/lsn"
)

// ReplicationOptions say where START_REPLICATION begins.
type ReplicationOptions struct {
	Slot     string // "" streams without a slot; needs 9.4
	Start    lsn.LSN
	Timeline uint32 // 0 = the server's current one; before 9.3 it cannot be chosen
}

// XLogData is a piece of WAL. Data is valid until the next Receive only.
type XLogData struct {
	Start     lsn.LSN // position of the first byte of Data
	ServerEnd lsn.LSN // end of the WAL on the server when it was sent
	SentAt    time.Time
	Data      []byte
}

// Keepalive tells how far the server's WAL goes.
type Keepalive struct {
	ServerEnd      lsn.LSN
	SentAt         time.Time
	ReplyRequested bool // answer at once, or the server ends the connection after wal_sender_timeout
}

// Message is a *XLogData or a *Keepalive. Both are reused: they are valid
// until the next Receive only.
type Message interface{ message() }

func (*XLogData) message()  {}
func (*Keepalive) message() {}

// Status is a standby status update. A position of 0 means "not known". Flush
// must only name what is durable: the server lets WAL before it go, and commits
// that wait for this standby return.
type Status struct {
	Write          lsn.LSN
	Flush          lsn.LSN
	Apply          lsn.LSN
	ReplyRequested bool
}

// TimelineSwitch tells where the next timeline begins after the server
// streamed one to its end.
type TimelineSwitch struct {
	Timeline uint32
	Start    lsn.LSN
}

// Replication is a stream of WAL. Receive, Buffered, Arrived and End are for one
// goroutine; SendStatus and Stop may be called from any.
type Replication struct {
	c       *Conn
	ctx     context.Context // of the whole stream
	data    XLogData
	alive   Keepalive
	done    bool // the server has ended the stream
	closing bool // it did so with CommandComplete, before it goes away

	mu      sync.Mutex // nothing is to follow CopyDone
	stopped bool       // CopyDone was sent, or has no place
	last    Status     // what was sent last
}

// StartReplication runs START_REPLICATION ... PHYSICAL. ctx holds until End
// has returned: when it ends, Receive fails and the connection is lost.
//
// A server that has been silent for half of Config.ServerTimeout is sent the last
// status once more, with the wish for a reply.
func (c *Conn) StartReplication(ctx context.Context, o ReplicationOptions) (*Replication, error) {
	sql := "START_REPLICATION"
	if o.Slot != "" {
		if err := c.needSlots("replication slots"); err != nil {
			return nil, err
		}
		sql += " SLOT " + quoteIdentifier(o.Slot)
	}
	sql += " " + o.Start.String()
	if o.Timeline != 0 && c.version >= v9_3 {
		sql += fmt.Sprintf(" TIMELINE %d", o.Timeline)
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	if err := c.query(sql); err != nil {
		return nil, c.fail(err)
	}
	const name = "START_REPLICATION"
	typ, err := c.receive()
	if err != nil {
		return nil, fmt.Errorf("could not send replication command %q: %w", name, err)
	}
	r := &Replication{c: c, ctx: ctx}
	switch typ {
	case 'W':
		// A server without WAL to send has nothing to say unless it is asked.
		c.wire.allow(c.timeout, r.ask)
		return r, nil
	case 'T':
		// The timeline ended right at Start: the server tells the next one
		// without a stream before (StartReplication in walsender.c).
		r.done, r.stopped = true, true
		return r, nil
	}
	return nil, c.unexpected(typ, name)
}

// Receive waits for the next message. io.EOF means that the server has ended
// the stream in order, on Stop or because the timeline ended: call End then.
func (r *Replication) Receive() (Message, error) {
	if r.done {
		return nil, io.EOF
	}
	typ, err := r.c.receive()
	if err != nil {
		return nil, err
	}
	switch typ {
	case 'd':
	case 'c':
		r.done = true
		return nil, io.EOF
	case 'C':
		// A server that shuts down ends the command without CopyDone, and then
		// the connection (WalSndDone in walsender.c).
		r.done, r.closing = true, true
		return nil, io.EOF
	default:
		return nil, r.c.unexpected(typ, "START_REPLICATION")
	}
	body, err := r.c.wire.body()
	if err == nil && r.asked() {
		// What was on its way may still arrive, and no more than that.
		err = r.c.talked(len(body))
	} else {
		r.c.gotOn()
	}
	if err != nil {
		return nil, r.c.fail(err)
	}
	if len(body) == 0 {
		return nil, r.c.fail(protocolErrorf("empty message in the WAL stream"))
	}
	switch body[0] {
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(body[1:])
		if err != nil {
			return nil, r.c.fail(protocolErrorf("streaming header too small: %d", len(body)))
		}
		r.data = XLogData{Start: lsn.LSN(x.WALStart), ServerEnd: lsn.LSN(x.ServerWALEnd), SentAt: x.ServerTime, Data: x.WALData}
		return &r.data, nil
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(body[1:])
		if err != nil {
			return nil, r.c.fail(protocolErrorf("streaming header too small: %d", len(body)))
		}
		r.alive = Keepalive{ServerEnd: lsn.LSN(k.ServerWALEnd), SentAt: k.ServerTime, ReplyRequested: k.ReplyRequested}
		return &r.alive, nil
	}
	return nil, r.c.fail(protocolErrorf("unrecognized streaming header: %q", body[0]))
}

// Buffered tells whether Receive would return without waiting for the network.
func (r *Replication) Buffered() bool { return !r.done && r.c.wire.buffered() }

// Arrived is Buffered after another look at the network, which does not wait either.
// Where that cannot be had, as with TLS, it is just Buffered. The last message is not
// valid any more.
func (r *Replication) Arrived() bool {
	if r.done {
		return false
	}
	r.c.wire.collect()
	return r.c.wire.buffered()
}

// SendStatus sends a standby status update. pglogrepl's sends the write
// position where the flush position is not known, which would acknowledge
// what is not durable.
func (r *Replication) SendStatus(s Status) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = s
	return r.send(s)
}

// ask makes the server send a keepalive, by repeating what it knows.
func (r *Replication) ask() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.last
	s.ReplyRequested = true
	return r.send(s)
}

// send sends a status. r.mu is locked.
func (r *Replication) send(s Status) error {
	if r.stopped {
		return nil // the server takes no more of them
	}
	var b [34]byte
	b[0] = pglogrepl.StandbyStatusUpdateByteID
	binary.BigEndian.PutUint64(b[1:], uint64(s.Write))
	binary.BigEndian.PutUint64(b[9:], uint64(s.Flush))
	binary.BigEndian.PutUint64(b[17:], uint64(s.Apply))
	binary.BigEndian.PutUint64(b[25:], uint64(time.Since(epoch).Microseconds()))
	if s.ReplyRequested {
		b[33] = 1
	}
	return r.interrupted(r.c.sendCopyData(b[:]))
}

// interrupted turns a write that was interrupted by the context into the context's
// own reason: the server may have stopped to read.
func (r *Replication) interrupted(err error) error {
	if err != nil && r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return err
}

// epoch is the zero of the protocol's clock, which counts microseconds.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Stop asks the server to end the stream. What it sent before still arrives:
// Receive until io.EOF. A server that goes on for 64 MiB is a *ProtocolError.
func (r *Replication) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	r.stopped = true
	return r.interrupted(r.c.sendCopyDone())
}

// asked tells whether the server was asked to end the stream.
func (r *Replication) asked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// End reads how the stream ended, after Receive returned io.EOF. next is where
// the following timeline begins if the server came to the end of this one, nil
// if the stream was stopped or the server is shutting down. Unless it is, the
// connection is free for other commands then.
func (r *Replication) End() (next *TimelineSwitch, err error) {
	const name = "START_REPLICATION"
	if r.closing {
		r.c.fail(fmt.Errorf("server is shutting down: %w", ErrConnectionLost))
		return nil, nil
	}
	if err := r.Stop(); err != nil {
		return nil, r.c.fail(err)
	}
	// Until it has seen CopyDone a server at the end of a timeline sends keepalives,
	// also behind its own (WalSndLoop in walsender.c).
	rows, err := r.c.resultSetAfter(name, 'd')
	if err != nil {
		return nil, fmt.Errorf("unexpected termination of replication stream: %w", err)
	}
	if len(rows) > 0 {
		if len(rows) != 1 || len(rows[0]) < 2 {
			return nil, r.c.fail(fmt.Errorf("unexpected result set after end-of-timeline: %w", shape(rows, 2)))
		}
		next = &TimelineSwitch{}
		if next.Timeline, err = parseTimeline(rows[0].text(0)); err != nil {
			return nil, r.c.fail(fmt.Errorf("unexpected result set after end-of-timeline: %w", err))
		}
		if next.Start, err = lsn.Parse(rows[0].text(1)); err != nil {
			return nil, r.c.fail(fmt.Errorf("could not parse next timeline's starting point: %w", err))
		}
	}
	return next, r.c.ready(name)
}
