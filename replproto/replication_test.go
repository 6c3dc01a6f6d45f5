package replproto_test

import (
	"context"
	"io"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// stream receives until the stream ends and returns the WAL that came.
func stream(t *testing.T, r *replproto.Replication, each func(end lsn.LSN, m replproto.Message)) []byte {
	t.Helper()
	var log []byte
	var at lsn.LSN
	for {
		m, err := r.Receive()
		if err == io.EOF {
			return log
		}
		if err != nil {
			t.Fatal(err)
		}
		if x, ok := m.(*replproto.XLogData); ok {
			if at != 0 && x.Start != at {
				t.Errorf("WAL at %s, expected %s", x.Start, at)
			}
			at = x.Start + lsn.LSN(len(x.Data))
			log = append(log, x.Data...)
		}
		each(at, m)
	}
}

func TestAStreamEndsOnStopAndLeavesTheConnectionUsable(t *testing.T) {
	ctx := context.Background()
	cluster := &pgfake.Cluster{Version: "16.2", Flush: 0x500000, Slots: []pgfake.Slot{{Name: "s"}}}
	c := dial(t, pgfake.Serve(t, cluster))
	for range 2 {
		r, err := c.StartReplication(ctx, replproto.ReplicationOptions{Slot: "s", Start: 0x300000, Timeline: 1})
		if err != nil {
			t.Fatal(err)
		}
		got := stream(t, r, func(end lsn.LSN, _ replproto.Message) {
			if end == 0x500000 {
				if err := r.SendStatus(replproto.Status{Write: end}); err != nil {
					t.Error(err)
				}
				if err := r.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
		if next, err := r.End(); next != nil || err != nil {
			t.Errorf("End: %+v, %v", next, err)
		}
		if string(got) != string(cluster.LogBytes(1, 0x300000, 0x500000)) {
			t.Errorf("%d bytes of WAL are not the server's", len(got))
		}
	}
	if _, err := c.IdentifySystem(ctx); err != nil {
		t.Errorf("after the stream: %v", err)
	}
	for _, s := range cluster.Statuses() {
		if s.Flush != 0 || s.Apply != 0 {
			t.Errorf("a position that nobody vouched for was reported: %+v", s)
		}
	}
}

func TestTheEndOfATimelineTellsTheNextOne(t *testing.T) {
	cluster := &pgfake.Cluster{Version: "12.3", Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 0x380000}}, Flush: 0x500000}
	c := dial(t, pgfake.Serve(t, cluster))
	r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 0x300000, Timeline: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := stream(t, r, func(lsn.LSN, replproto.Message) {})
	next, err := r.End()
	if err != nil || next == nil || next.Timeline != 2 || next.Start != 0x380000 || len(got) != 0x80000 {
		t.Errorf("%d bytes, then %+v, %v", len(got), next, err)
	}
}

// A client that is slow to take leave is sent keepalives, also behind CopyDone.
func TestKeepalivesBehindTheEndOfATimelineArePassedOver(t *testing.T) {
	cluster := &pgfake.Cluster{
		Version: "18.1", Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 0x380000}}, Flush: 0x500000,
		Tamper: pgfake.After(pgfake.At{Part: pgfake.PartCopyEnd}, pgfake.Keepalive(0x380000, true), pgfake.Keepalive(0x380000, true)),
	}
	c := dial(t, pgfake.Serve(t, cluster))
	r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 0x300000, Timeline: 1})
	if err != nil {
		t.Fatal(err)
	}
	stream(t, r, func(lsn.LSN, replproto.Message) {})
	if next, err := r.End(); err != nil || next == nil || next.Timeline != 2 {
		t.Errorf("End: %+v, %v", next, err)
	}
	if _, err := c.IdentifySystem(context.Background()); err != nil {
		t.Errorf("after the stream: %v", err)
	}
}

func TestAStreamThatBeginsWhereItsTimelineEndedTellsTheNextOneAtOnce(t *testing.T) {
	cluster := &pgfake.Cluster{Version: "15.3", Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 0x380000}}, Flush: 0x500000}
	c := dial(t, pgfake.Serve(t, cluster))
	r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 0x380000, Timeline: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := stream(t, r, func(lsn.LSN, replproto.Message) {}); len(got) != 0 {
		t.Errorf("%d bytes came", len(got))
	}
	if next, err := r.End(); err != nil || next == nil || next.Timeline != 2 || next.Start != 0x380000 {
		t.Errorf("End: %+v, %v", next, err)
	}
	if _, err := c.IdentifySystem(context.Background()); err != nil {
		t.Errorf("after the stream: %v", err)
	}
}

func TestAServerThatShutsDownEndsTheStreamInOrder(t *testing.T) {
	cluster := &pgfake.Cluster{Version: "15.3", Flush: 0x500000}
	c := dial(t, pgfake.Serve(t, cluster))
	r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 0x300000, Timeline: 1})
	if err != nil {
		t.Fatal(err)
	}
	stream(t, r, func(end lsn.LSN, m replproto.Message) {
		if x, ok := m.(*replproto.XLogData); ok && x.Start+lsn.LSN(len(x.Data)) == 0x500000 {
			cluster.Shutdown()
		}
		if k, ok := m.(*replproto.Keepalive); ok && k.ReplyRequested {
			if err := r.SendStatus(replproto.Status{Write: end, Flush: end}); err != nil {
				t.Error(err)
			}
		}
	})
	if next, err := r.End(); next != nil || err != nil {
		t.Errorf("End: %+v, %v", next, err)
	}
}
