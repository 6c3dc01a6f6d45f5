package pgfake_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// follow receives a stream until until says so, after each message, or it ends.
func follow(t *testing.T, r *replproto.Replication, until func(pos lsn.LSN, keepalives int) bool) (log []byte, keepalives int) {
	t.Helper()
	var pos lsn.LSN
	stopped := false
	for {
		m, err := r.Receive()
		if err == io.EOF {
			return log, keepalives
		}
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *replproto.XLogData:
			if pos != 0 && m.Start != pos {
				t.Fatalf("log at %v after %v", m.Start, pos)
			}
			pos = m.Start + lsn.LSN(len(m.Data))
			log = append(log, m.Data...)
		case *replproto.Keepalive:
			keepalives++
		}
		if !stopped && until(pos, keepalives) {
			stopped = true
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func never(lsn.LSN, int) bool { return false }

func TestStreamsOfEveryVersion(t *testing.T) {
	for _, version := range allVersions {
		if number(version) < 903 {
			continue
		}
		t.Run(version, func(t *testing.T) {
			c := &pgfake.Cluster{Version: version, SegmentSize: 1 << 20, Flush: 0x2180010}
			conn := replicate(t, pgfake.Serve(t, c).ConnString())
			r, err := conn.StartReplication(deadline(t), replproto.ReplicationOptions{Start: 0x2000000, Timeline: 1})
			if err != nil {
				t.Fatal(err)
			}
			log, _ := follow(t, r, func(pos lsn.LSN, _ int) bool {
				if pos == 0x2180010 {
					c.Advance(0x2180020)
				}
				return pos == 0x2180020
			})
			if next, err := r.End(); err != nil || next != nil {
				t.Errorf("End() = %v, %v", next, err)
			}
			if !bytes.Equal(log, c.LogBytes(1, 0x2000000, 0x2180020)) {
				t.Errorf("%d bytes of log differ", len(log))
			}
			if _, err := conn.IdentifySystem(deadline(t)); err != nil {
				t.Errorf("after the stream: %v", err)
			}
		})
	}
}

func TestStreamsFollowTimelines(t *testing.T) {
	c := &pgfake.Cluster{Version: "12.3", SegmentSize: 1 << 20, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 0x2080100}}, Flush: 0x2100000}
	conn := replicate(t, pgfake.Serve(t, c).ConnString())
	start, timeline := lsn.LSN(0x2000000), uint32(1)
	for _, want := range []replproto.TimelineSwitch{{Timeline: 2, Start: 0x2080100}, {Timeline: 3, Start: 0x2100000}} {
		r, err := conn.StartReplication(deadline(t), replproto.ReplicationOptions{Start: start, Timeline: timeline})
		if err != nil {
			t.Fatal(err)
		}
		if timeline == 2 {
			c.Promote()
		}
		log, _ := follow(t, r, never)
		next, err := r.End()
		if err != nil || next == nil || *next != want {
			t.Fatalf("End() = %+v, %v; want %+v", next, err, want)
		}
		if !bytes.Equal(log, c.LogBytes(timeline, start, want.Start)) {
			t.Errorf("timeline %d: %d bytes of log differ", timeline, len(log))
		}
		start, timeline = 0x2080000, 2
	}
	name, history, err := conn.TimelineHistory(deadline(t), 3)
	want := "1\t0/2080100\tno recovery target specified\n2\t0/2100000\tno recovery target specified\n"
	if err != nil || name != "00000003.history" || string(history) != want {
		t.Errorf("TimelineHistory = %q, %q, %v", name, history, err)
	}
	// The page with the switch in it is the old timeline's, the next is not.
	if old, now := c.LogBytes(2, 0x2080000, 0x2080008), c.LogBytes(2, 0x2082000, 0x2082008); old[4] != 1 || now[4] != 2 {
		t.Errorf("timelines of pages: %x, %x", old, now)
	}
}

func TestStreamsUseSlotsAndHearStatuses(t *testing.T) {
	c := &pgfake.Cluster{Version: "15.3", KeepaliveEvery: time.Millisecond, KeepaliveAsks: true}
	s := pgfake.Serve(t, c)
	conn := replicate(t, s.ConnString())
	if err := conn.CreatePhysicalSlot(deadline(t), "s", replproto.SlotOptions{Temporary: true, Reserve: true}); err != nil {
		t.Fatal(err)
	}
	r, err := conn.StartReplication(deadline(t), replproto.ReplicationOptions{Slot: "s", Start: 0x2000000, Timeline: 1})
	if err != nil {
		t.Fatal(err)
	}
	other := replicate(t, s.ConnString())
	_, err = other.StartReplication(deadline(t), replproto.ReplicationOptions{Slot: "s", Start: 0x2000000, Timeline: 1})
	if !replproto.HasCode(err, "55006") {
		t.Errorf("a second user of the slot: %v", err)
	}
	if err := r.SendStatus(replproto.Status{Write: 0x2100000, Flush: 0x2080000}); err != nil {
		t.Fatal(err)
	}
	follow(t, r, func(pos lsn.LSN, keepalives int) bool { return pos == c.Flush && keepalives > 2 })
	if _, err := r.End(); err != nil {
		t.Fatal(err)
	}
	if st := c.Statuses(); len(st) != 1 || st[0].Flush != 0x2080000 || st[0].Apply != 0 {
		t.Errorf("statuses %+v", st)
	}
	if slot, ok := c.Slot("s"); !ok || slot.RestartLSN != 0x2080000 || !slot.Temporary {
		t.Errorf("slot %+v, %v", slot, ok)
	}
}

func TestShutdownEndsStreamsAndSessions(t *testing.T) {
	c := &pgfake.Cluster{Version: "15.3"}
	s := pgfake.Serve(t, c)
	idle, stream := connect(t, s.ConnString()), connect(t, s.ConnString())
	f := stream.Frontend()
	f.Send(&pgproto3.Query{String: "START_REPLICATION 0/2000000"})
	f.Flush()
	var log []byte
	for {
		m, err := stream.ReceiveMessage(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*pgproto3.CopyBothResponse); ok {
			c.Shutdown()
		}
		if d, ok := m.(*pgproto3.CopyData); ok {
			if d.Data[0] == 'w' {
				log = append(log, d.Data[25:]...)
			} else if d.Data[17] == 1 {
				status := binary.BigEndian.AppendUint64([]byte{'r'}, 0x2000000+uint64(len(log)))
				f.Send(&pgproto3.CopyData{Data: append(status, make([]byte, 25)...)})
				f.Flush()
			}
		}
		if e, ok := m.(*pgproto3.CommandComplete); ok {
			if string(e.CommandTag) != "COPY 0" || !bytes.Equal(log, c.LogBytes(1, 0x2000000, c.Flush)) {
				t.Errorf("%s after %d bytes of log", e.CommandTag, len(log))
			}
			break
		}
	}
	if _, err := query(t, idle, "IDENTIFY_SYSTEM"); err == nil {
		t.Error("an idle session outlives the server")
	}
}

func TestStreamsAreRefused(t *testing.T) {
	c := &pgfake.Cluster{Version: "15.3", OldestLog: 0x2000000}
	conn := connect(t, pgfake.Serve(t, c).ConnString())
	for sql, want := range map[string]string{
		"START_REPLICATION 0/1000000": "58P01",
		"START_REPLICATION 9/0":       "XX000",
	} {
		if got := shape(t, conn, sql); len(got) < 9 || got[:2] != "W\n" || got[4:9] != want {
			t.Errorf("%s: %s", sql, got)
		}
	}
}
