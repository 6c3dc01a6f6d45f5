//go:build unix

package phases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

var receiveOperation = operation{name: "receive", phases: receivePhases, strike: strikeReceive, pass: passReceive}

// receivePhases are those of an archive that begins on the server's first timeline
// and ends on its second, over a connection that nothing happens to before, and over
// the one that follows a loss in the middle of a segment.
func receivePhases(*server) []phase {
	const server, client = faultproxy.Server, faultproxy.Client
	stream := faultproxy.AtAnswer("START_REPLICATION")
	var again []phase
	for _, p := range []phase{
		{name: "accepted", at: faultproxy.After(0), first: true},
		{name: "startup", at: faultproxy.AtMessage("S", 1).Plus(3), first: true},
		{name: "IDENTIFY_SYSTEM", at: faultproxy.AtAnswer("IDENTIFY_SYSTEM").Plus(4), first: true},
		{name: "SHOW", at: faultproxy.AtAnswer("SHOW"), first: true},
		{name: "TIMELINE_HISTORY", at: faultproxy.AtAnswer("TIMELINE_HISTORY").Plus(20)},
		{name: "START_REPLICATION", at: stream.Plus(3)},
		{name: "in a message's header", at: stream.Message("dw", 1).Plus(3)},
		{name: "in a message's body", at: stream.Message("dw", 2).Plus(5000)},
	} {
		again = append(again, p)
		p.name, p.conn, p.first = p.name+" after a loss", 1, false
		again = append(again, p)
	}
	return append(again,
		phase{name: "READ_REPLICATION_SLOT", at: faultproxy.AtAnswer("READ_REPLICATION_SLOT").Plus(3), since: 15},
		phase{name: "end of a timeline", side: server, at: stream.Message("c", 1).Plus(2)},
		// A server that has got a part of it waits for the rest for as long as its
		// own TCP keepalives let it, and keeps the slot; so nothing of it arrives.
		phase{name: "CopyDone in answer", side: client, at: faultproxy.AtMessage("c", 1)},
		phase{name: "next timeline", side: server, at: stream.Message("T", 1).Plus(6)},
		phase{name: "its history", side: server, at: stream.Message("T", 2).Plus(6)},
		phase{name: "its START_REPLICATION", side: server, at: stream.Message("W", 2).Plus(3)},
		phase{name: "its first message", side: server, at: stream.Message("W", 2).Plus(8 + 5 + 30)},
		phase{name: "CopyDone at the end", side: client, at: faultproxy.AtMessage("c", 2).Plus(2), over: true},
		phase{name: "end of the stream", side: server, at: stream.Message("c", 2).Plus(2), over: true},
		phase{name: "Terminate", side: client, at: faultproxy.AtMessage("X", 1), over: true},
	)
}

// archive is one that is received up to the server's end position.
type archive struct {
	dir, slot string
	mu        sync.Mutex
	lost      []error
}

// newArchive makes a directory and a slot. Servers from 15 on say where the slot
// begins; for others the first segment is there already.
func newArchive(t *testing.T, s *server) *archive {
	t.Helper()
	a := &archive{dir: t.TempDir(), slot: "s" + fmt.Sprint(time.Now().UnixNano())}
	s.slot(t, a.slot)
	if s.Major() < 15 {
		content, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", s.first))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(a.dir, s.first), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (a *archive) receive(ctx context.Context, connect func(context.Context) (*replproto.Conn, error), end lsn.LSN) error {
	r, err := walstream.NewArchiver(walstream.ArchiveOptions{
		Connect: connect, Dir: a.dir, Slot: a.slot, StatusInterval: time.Second, EndPos: end,
		Observer: walstream.ArchiveObserver{Lost: func(err error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.lost = append(a.lost, err)
		}},
	})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// check compares the archive with the server's WAL, of which it must have
// everything up to the end position, and what was acknowledged with the archive.
func (a *archive) check(t *testing.T, s *server) {
	t.Helper()
	const history = "00000002.history"
	same := func(name string) {
		got, err := os.ReadFile(filepath.Join(a.dir, name))
		want, wantErr := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", name))
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %v, %d and %d bytes", name, err, wantErr, len(got), len(want))
		}
	}
	same(history)
	first, ok := wal.ParseFileName(s.first, segmentSize)
	if !ok {
		t.Fatal(s.first)
	}
	forked, err := lsn.Parse(strings.Fields(s.QueryString(t, "select pg_read_file('pg_wal/"+history+"')"))[1])
	if err != nil {
		t.Fatal(err)
	}
	// The segment of the fork is there on both timelines, on the first one as
	// far as it goes.
	fork := wal.SegmentNumber(forked, segmentSize)
	for n := first.Segment; n < fork; n++ {
		same(wal.SegmentName(1, n, segmentSize))
	}
	last := wal.SegmentNumber(s.end, segmentSize)
	for n := fork; n < last; n++ {
		same(wal.SegmentName(2, n, segmentSize))
	}
	var end lsn.LSN
	for _, suffix := range []string{"", wal.PartialSuffix} {
		if info, err := os.Stat(filepath.Join(a.dir, wal.SegmentName(2, last, segmentSize)+suffix)); err == nil {
			end = wal.SegmentStart(last, segmentSize) + lsn.LSN(info.Size())
		}
	}
	if end < s.end {
		t.Errorf("the archive ends at %s, before %s", end, s.end)
	}
	kept, err := lsn.Parse(s.QueryString(t, "select restart_lsn::text from pg_replication_slots where slot_name = $1", a.slot))
	if err != nil || kept > end {
		t.Errorf("acknowledged up to %s, received up to %s, %v", kept, end, err)
	}
}

func strikeReceive(t *testing.T, s *server, p phase, f fault) {
	a := newArchive(t, s)
	proxy := s.proxy(t)
	if p.conn == 1 {
		proxy.On(0, faultproxy.Server, faultproxy.AtAnswer("START_REPLICATION").Message("dw", 2).Plus(70000), faultproxy.Cut)
	}
	struck := proxy.On(p.conn, p.side, p.at, f.do)
	ctx, cancel := context.WithCancelCause(context.Background())
	hung := time.AfterFunc(patience, func() { cancel(errors.New("the receiver hangs")) })
	defer hung.Stop()
	open := connect(t, proxy, "", p.timeout(f))
	err := a.receive(ctx, open, s.end)
	waitStruck(t, struck, err)
	if ctx.Err() != nil {
		t.Fatal(context.Cause(ctx))
	}
	want := p.outcome(f)
	if p.first {
		if err == nil || !namesIt(err, p, f) {
			t.Errorf("the error does not say what happened: %v", err)
		}
		// Whoever called it calls it again.
		err, want = a.receive(ctx, open, s.end), unharmed
	}
	if err != nil {
		t.Fatal(err)
	}
	a.check(t, s)
	lost := a.lost[min(len(a.lost), p.conn):]
	switch {
	case want == unharmed && len(lost) > 0:
		t.Errorf("a loss that is none: %v", lost)
	case want == noticed && len(lost) == 0 && p.kind(f) != deaf:
		t.Error("nothing was said of a loss")
	case p.kind(f) == deaf && len(lost) > 0 && !errors.Is(lost[0], replproto.ErrConnectionLost),
		want == noticed && p.kind(f) != deaf && !namesIt(lost[0], p, f):
		t.Errorf("the error does not say what happened: %v", lost[0])
	}
}

func passReceive(t *testing.T, s *server, p shape) {
	a := newArchive(t, s)
	proxy := s.proxy(t)
	p.arm(proxy)
	if err := a.receive(context.Background(), connect(t, proxy, p.settings, patience), s.end); err != nil {
		t.Fatal(err)
	}
	a.check(t, s)
	if len(a.lost) > 0 || proxy.Connections() != 1 {
		t.Errorf("lost %v", a.lost)
	}
}
