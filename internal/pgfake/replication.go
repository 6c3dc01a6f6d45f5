package pgfake

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// stream is one START_REPLICATION.
type stream struct {
	c        *Cluster
	a        *answer
	slot     *Slot
	timeline uint32
	pos      lsn.LSN

	sentDone, receivedDone bool
	confirmed              lsn.LSN // what the client has, going by its last status
	asked                  bool    // for a status, at shutdown
}

// logState is how far a stream may go at the moment.
type logState struct {
	limit    lsn.LSN
	historic bool // the timeline ends at limit
	next     uint32
	stopping bool
	flush    lsn.LSN
	changed  chan struct{}
}

func (c *Cluster) startReplication(a *answer, cmd *command) error {
	if c.version < 90300 {
		// Its messages are in the machine's byte order, and PostgreSQL's own clients
		// refuse to stream from such a server.
		return errors.New("the client asked a server older than 9.3 to stream")
	}
	if cmd.logical {
		return refuse("55000", "logical decoding requires a database connection")
	}
	s := &stream{c: c, a: a, pos: cmd.lsn, timeline: cmd.timeline}
	c.mu.Lock()
	err := c.begin(s, cmd)
	st := c.stateOf(s)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	defer s.release()
	if !st.historic || s.pos < st.limit {
		if err := a.send(PartCopyBegin, "", CopyBoth()); err != nil {
			return err
		}
		if s.pos > st.flush {
			return refuse("XX000", "requested starting point %v is ahead of the WAL flush position of this server %v", s.pos, st.flush)
		}
		if s.pos < c.OldestLog {
			name := wal.SegmentName(s.timeline, wal.SegmentNumber(s.pos, c.SegmentSize), c.SegmentSize)
			return refuse("58P01", "requested WAL segment %s has already been removed", name)
		}
		if st, err = s.run(); err != nil {
			return err
		}
	}
	if st.historic {
		tli := int8Column("next_tli")
		err := a.send(PartTimeline, "", Columns(tli, text("next_tli_startpos")), Row(st.next, st.limit))
		if err != nil {
			return err
		}
	}
	if err := a.send(PartComplete, "", CommandComplete("START_STREAMING")); err != nil {
		return err
	}
	return c.complete(a)
}

// begin checks a request as StartReplication of walsender.c does. c.mu is
// locked.
func (c *Cluster) begin(s *stream, cmd *command) error {
	if cmd.slot != "" {
		slot, err := c.usableSlot(cmd.slot, s.a.c)
		if err != nil {
			return err
		}
		slot.user = s.a.c
		s.slot = slot
	}
	if s.timeline == 0 {
		s.timeline = c.Timeline
	}
	if s.timeline == c.Timeline {
		return nil
	}
	for _, p := range c.Ancestors {
		if p.Timeline == s.timeline {
			if p.Switch < s.pos {
				return &refusal{"XX000", fmt.Sprintf("requested starting point %v on timeline %d is not in this server's history", s.pos, s.timeline),
					[]Field{Detail(fmt.Sprintf("This server's history forked from timeline %d at %v.", s.timeline, p.Switch))}}
			}
			return nil
		}
	}
	return refuse("XX000", "requested timeline %d is not in this server's history", s.timeline)
}

func (s *stream) release() {
	if s.slot != nil {
		s.c.mu.Lock()
		s.slot.user = nil
		s.c.slotsFreed()
		s.c.mu.Unlock()
	}
}

// stateOf needs c.mu locked.
func (c *Cluster) stateOf(s *stream) logState {
	st := logState{limit: c.Flush, flush: c.Flush, changed: c.changed, stopping: c.stopping}
	for i, p := range c.Ancestors {
		if p.Timeline == s.timeline {
			st.historic, st.limit, st.next = true, p.Switch, c.Timeline
			if i+1 < len(c.Ancestors) {
				st.next = c.Ancestors[i+1].Timeline
			}
		}
	}
	return st
}

// timelineAt is the timeline that a position is on. c.mu is locked.
func (c *Cluster) timelineAt(pos lsn.LSN) uint32 {
	for _, p := range c.Ancestors {
		if pos < p.Switch {
			return p.Timeline
		}
	}
	return c.Timeline
}

// run sends log until both sides said CopyDone.
func (s *stream) run() (logState, error) {
	var tick <-chan time.Time
	if s.c.KeepaliveEvery > 0 {
		t := time.NewTicker(s.c.KeepaliveEvery)
		defer t.Stop()
		tick = t.C
	}
	for {
		s.c.mu.Lock()
		st := s.c.stateOf(s)
		var chunk []byte
		if !s.sentDone && s.pos < st.limit {
			chunk = s.c.log(s.timeline, s.pos, s.chunkEnd(st.limit))
		}
		s.c.mu.Unlock()
		if s.sentDone && s.receivedDone {
			return st, nil
		}
		if chunk != nil {
			if err := s.a.send(PartWAL, "", XLogData(s.pos, st.limit, chunk)); err != nil {
				return st, err
			}
			s.pos += lsn.LSN(len(chunk))
		} else if st.historic && !s.sentDone {
			if err := s.finish(); err != nil {
				return st, err
			}
		} else if st.stopping && !s.sentDone {
			if err := s.shutdown(); err != nil {
				return st, err
			}
		}
		if err := s.a.c.Flush(); err != nil {
			return st, err
		}
		if err := s.attend(chunk != nil, tick, st); err != nil {
			return st, err
		}
	}
}

// shutdown is WalSndDone: once the client has all of the log the command ends,
// without CopyDone, and so does the server.
func (s *stream) shutdown() error {
	if s.confirmed == s.pos {
		return s.a.c.Send(CommandComplete("COPY 0"), Close(FIN))
	}
	if s.asked {
		return nil
	}
	s.asked = true
	return s.a.send(PartKeepalive, "", Keepalive(s.pos, true))
}

// chunkEnd is where a message ends that begins at the stream's position: at a
// page's end, or at that of the log.
func (s *stream) chunkEnd(limit lsn.LSN) lsn.LSN {
	end := s.pos + lsn.LSN(s.c.LogChunk)
	if end >= limit {
		return limit
	}
	if s.c.LogChunk > walPage {
		end -= end % walPage
	}
	return end
}

// attend handles what the client sent; busy is not to wait for it.
func (s *stream) attend(busy bool, tick <-chan time.Time, st logState) error {
	if busy {
		select {
		case r := <-s.a.c.pump:
			return s.handle(r, st)
		default:
			return nil
		}
	}
	if s.sentDone && s.receivedDone {
		return nil
	}
	select {
	case r := <-s.a.c.pump:
		return s.handle(r, st)
	case <-st.changed:
		return nil
	case <-tick:
		if s.sentDone {
			return nil
		}
		return s.a.send(PartKeepalive, "", Keepalive(s.pos, s.c.KeepaliveAsks))
	}
}

func (s *stream) handle(r received, st logState) error {
	if r.err != nil {
		return r.err
	}
	switch m := r.message.(type) {
	case *pgproto3.CopyData:
		if len(m.Data) > 0 && m.Data[0] == 'h' {
			return nil // hot standby feedback
		}
		status, err := parseStatus(m.Data)
		if err != nil {
			return err
		}
		if s.confirmed = status.Flush; s.confirmed == 0 {
			s.confirmed = status.Write
		}
		s.asked = false
		s.c.mu.Lock()
		s.c.statuses = append(s.c.statuses, status)
		if s.slot != nil && status.Flush != 0 {
			s.slot.RestartLSN = status.Flush
		}
		s.c.mu.Unlock()
		if status.ReplyRequested && !s.sentDone {
			return s.a.send(PartKeepalive, "", Keepalive(s.pos, false))
		}
		return nil
	case *pgproto3.CopyDone:
		s.receivedDone = true
		return s.finish()
	default:
		return fmt.Errorf("want a standby status or CopyDone, %w", unexpected(m))
	}
}

func (s *stream) finish() error {
	if s.sentDone {
		return nil
	}
	s.sentDone = true
	return s.a.send(PartCopyEnd, "", CopyDone())
}
