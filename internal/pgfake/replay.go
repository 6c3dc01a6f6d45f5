package pgfake

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
)

// Replay serves recorded connections of a real 9.5.3 server, byte for byte and
// in the recorded pieces, see testdata/pg95/README.md for what there is.
//
// Recordings are found by query, not by the order of connections:
// IDENTIFY_SYSTEM is answered whenever it is asked, from the connection's
// recording or the one of its number; BASE_BACKUP and START_REPLICATION
// take the first recording that has such a query and was not used yet, and
// when all were used, the first again. Options and labels may differ from the
// recorded ones. START_REPLICATION may begin anywhere in the recorded log and
// may be ended by CopyDone at any time; without it all of the recorded log is
// sent, and then nothing. Status updates may come or not. A query without a
// recorded answer is an ERROR for the client and fails the test.
func Replay(t testing.TB, names ...string) *Server {
	t.Helper()
	r := &replay{used: map[exchange]bool{}}
	for _, n := range names {
		rec, err := openRecording(n)
		if err != nil {
			t.Fatalf("pgfake: %v", err)
		}
		r.recordings = append(r.recordings, rec)
	}
	if len(names) == 0 {
		t.Fatalf("pgfake: nothing to replay")
	}
	return StartEach(t, Do("replay", r.serve))
}

type replay struct {
	recordings []*recording

	mu   sync.Mutex
	used map[exchange]bool
}

// place is an exchange and the recording it is in.
type place struct {
	recording *recording
	exchange
}

// take finds the answer to BASE_BACKUP or START_REPLICATION.
func (r *replay) take(command string) (place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first *place
	for _, rec := range r.recordings {
		for _, e := range rec.exchanges {
			if e.command() != command {
				continue
			}
			p := place{rec, e}
			if first == nil {
				first = &p
			}
			if !r.used[e] {
				r.used[e] = true
				return p, true
			}
		}
	}
	if first == nil {
		return place{}, false
	}
	return *first, true
}

func (r *replay) serve(c *Conn) error {
	c.idle.Store(true)
	err := r.session(c)
	if errors.Is(err, errGone) {
		return ended(err)
	}
	return err
}

func (r *replay) session(c *Conn) error {
	if err := c.receiveStartup(); err != nil {
		return err
	}
	rec := r.recordings[min(c.Number, len(r.recordings)-1)]
	if err := c.Send(RawBytes(rec.greeting)); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.readAhead()
	asked := 0
	for {
		m, err := c.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.Query:
			cmd, err := parse(90503, m.String)
			if err != nil {
				return r.refuse(c, m.String, err)
			}
			switch cmd.name {
			case "IDENTIFY_SYSTEM":
				err = rec.identify(c, asked)
				asked++
			case "BASE_BACKUP", "START_REPLICATION":
				p, ok := r.take(cmd.name)
				if !ok {
					return r.refuse(c, m.String, errors.New("not recorded"))
				}
				rec, asked = p.recording, 0
				if cmd.name == "BASE_BACKUP" {
					err = p.verbatim(c)
				} else {
					err = p.stream(c, cmd)
				}
			default:
				return r.refuse(c, m.String, errors.New("not recorded"))
			}
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("want a query, %w", unexpected(m))
		}
	}
}

func (r *replay) refuse(c *Conn, query string, why error) error {
	// The test may end with the client's answer; the server waits for this to be
	// told.
	c.idle.Store(false)
	c.Send(Error("ERROR", "42601", why.Error()), ReadyForQuery())
	c.Flush()
	return fmt.Errorf("the recordings have no answer to %q: %w", query, why)
}

// identify answers with the n-th recorded answer, or the last.
func (r *recording) identify(c *Conn, n int) error {
	var found *exchange
	for i := range r.exchanges {
		if r.exchanges[i].command() == "IDENTIFY_SYSTEM" {
			found = &r.exchanges[i]
			if n == 0 {
				break
			}
			n--
		}
	}
	if found == nil {
		return fmt.Errorf("recording %s has no IDENTIFY_SYSTEM", r.name)
	}
	return place{r, *found}.verbatim(c)
}

func (p place) verbatim(c *Conn) error {
	return p.recording.segments(p.exchange, func(b []byte) error {
		if err := c.Send(RawBytes(b)); err != nil {
			return err
		}
		return c.Flush()
	})
}

var errStopped = errors.New("the client sent CopyDone")

// stream answers START_REPLICATION from the recorded messages.
func (p place) stream(c *Conn, cmd *command) error {
	recorded, err := parse(90503, p.query)
	if err != nil {
		return fmt.Errorf("recording %s: %w", p.recording.name, err)
	}
	if cmd.lsn < recorded.lsn || cmd.timeline != 0 && cmd.timeline != recorded.timeline {
		return fmt.Errorf("want replication from %v or later on timeline %d, got %v on timeline %d",
			recorded.lsn, recorded.timeline, cmd.lsn, cmd.timeline)
	}
	var tail []byte // from the server's CopyDone on
	stopped := false
	err = p.recording.messages(p.exchange, func(m []byte) error {
		if tail != nil || m[0] == 'c' {
			tail = append(tail, m...)
			return nil
		}
		if stopped {
			return nil
		}
		at, data, ok := xlogData(m)
		end := at + lsn.LSN(len(data))
		switch {
		case !ok || cmd.lsn <= at:
			err = c.Send(RawBytes(m))
		case cmd.lsn < end:
			err = c.Send(XLogData(cmd.lsn, beLSN(m[14:]), data[cmd.lsn-at:]))
		}
		if err == nil {
			err = c.Flush()
		}
		if err == nil {
			err = p.heard(c, false)
		}
		if errors.Is(err, errStopped) {
			stopped, err = true, nil
		}
		return err
	})
	for err == nil && !stopped {
		if err = p.heard(c, true); errors.Is(err, errStopped) {
			stopped, err = true, nil
		}
	}
	if err != nil {
		return err
	}
	if tail == nil {
		// The recorded client vanished; this is how 9.5 ends the command.
		return c.Send(CopyDone(), CommandComplete("START_STREAMING"), CommandComplete("SELECT"), ReadyForQuery())
	}
	return c.Send(RawBytes(tail))
}

// heard handles one message of a streaming client, if there is one or wait is
// set.
func (p place) heard(c *Conn, wait bool) error {
	var r received
	if wait {
		r = <-c.pump
	} else {
		select {
		case r = <-c.pump:
		default:
			return nil
		}
	}
	if r.err != nil {
		return r.err
	}
	switch m := r.message.(type) {
	case *pgproto3.CopyData:
		status, err := parseStatus(m.Data)
		if err != nil || !status.ReplyRequested {
			return err
		}
		// No recorded client asked for a reply; 9.5 gives one at once
		// (ProcessStandbyReplyMessage in walsender.c).
		if err := c.Send(Keepalive(status.Write, false)); err != nil {
			return err
		}
		return c.Flush()
	case *pgproto3.CopyDone:
		return errStopped
	default:
		return fmt.Errorf("want a standby status or CopyDone, %w", unexpected(m))
	}
}
