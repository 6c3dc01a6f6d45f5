package walstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

// startOn runs a receiver from the start of the segment that the server is at.
func startOn(t testing.TB, s *pgtest.Server, o walstream.Options) *run {
	t.Helper()
	ctx := context.Background()
	o.Conn = dialServer(t, s)
	sys, err := o.Conn.IdentifySystem(ctx)
	if err != nil {
		t.Fatal(err)
	}
	o.SystemID = sys.ID
	if o.SegmentSize, err = o.Conn.SegmentSize(ctx); err != nil {
		t.Fatal(err)
	}
	if o.Start == 0 {
		o.Timeline = sys.Timeline
		o.Start = sys.Position - lsn.LSN(wal.SegmentOffset(sys.Position, o.SegmentSize))
	}
	return start(t, o)
}

func dialServer(t testing.TB, s *pgtest.Server) *replproto.Conn {
	t.Helper()
	return dial(t, fmt.Sprintf("host=%s port=%d user=postgres", s.SocketDir(), s.Port()))
}

func currentLSN(t testing.TB, s *pgtest.Server) lsn.LSN {
	t.Helper()
	pos, err := lsn.Parse(s.QueryString(t, "select pg_current_wal_flush_lsn()::text"))
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// switchWAL ends the server's segment and returns the end of its WAL.
func switchWAL(t testing.TB, s *pgtest.Server) lsn.LSN {
	t.Helper()
	s.Exec(t, "select pg_switch_wal()")
	return currentLSN(t, s)
}

// checkAgainstServer compares files with the server's own, up to end; the one
// that is not whole as far as it goes, with zeroes after.
func checkAgainstServer(t *testing.T, s *pgtest.Server, files map[string][]byte, suffix string, timeline uint32, start, end lsn.LSN, size int64) {
	t.Helper()
	log := func(from, to lsn.LSN) []byte {
		segno := wal.SegmentNumber(from, size)
		own, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", wal.SegmentName(timeline, segno, size)))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(own[:to-from])
	}
	checkSegments(t, files, suffix, log, timeline, start, end, size)
}

func TestSegmentsAreThoseOfABusyServer(t *testing.T) {
	for _, c := range []struct{ major, segMB int }{{10, 0}, {15, 1}, {15, 16}, {15, 64}, {18, 0}} {
		t.Run(fmt.Sprintf("%d, %d MB", c.major, c.segMB), func(t *testing.T) {
			s := pgtest.Start(t, c.major, pgtest.WALSegSize(c.segMB), pgtest.Setting("max_wal_size", "4GB"))
			s.Exec(t, "select pg_create_physical_replication_slot('keep', true); select pg_create_physical_replication_slot('s', true)")
			archive := t.TempDir()
			var tarred bytes.Buffer
			w := tarstream.NewWriter(&tarred)
			intoTar := startOn(t, s, walstream.Options{Sink: walstream.NewTar(w, walstream.TarOptions{})})
			intoDir := startOn(t, s, walstream.Options{Sink: archiveDirectory(t, archive), Slot: "s", StatusInterval: time.Second})
			begin, size := intoDir.Progress().Written, pgtest.Query[int64](t, s, "select setting::bigint * case unit when '8kB' then 8192 else 1 end from pg_settings where name = 'wal_segment_size'")

			load := pgtest.Load(t, s, 2)
			for range 2 {
				load.Wait(t, 100)
				switchWAL(t, s)
			}
			load.Wait(t, 100)
			if _, err := load.Stop(); err != nil {
				t.Fatal(err)
			}
			end := currentLSN(t, s)
			for _, r := range []*run{intoDir, intoTar} {
				r.StopAt(end)
				r.mustEnd(t)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}

			files := readTree(t, archive)
			checkAgainstServer(t, s, files, ".partial", 1, begin, intoDir.Progress().Written, size)
			checkNoMore(t, files)
			files = readTar(t, tarred.Bytes(), "")
			checkAgainstServer(t, s, files, "", 1, begin, intoTar.Progress().Written, size)
			checkNoMore(t, files)
			reserved := s.QueryString(t, "select restart_lsn::text from pg_replication_slots where slot_name = 's'")
			if want := intoDir.Progress().Written.String(); reserved != want {
				t.Errorf("the slot is at %s, want %s", reserved, want)
			}
		})
	}
}

func TestStopPointIsReachedOnAnIdleServer(t *testing.T) {
	s := pgtest.Start(t, 15)
	s.Exec(t, "create table x as select generate_series(1, 100000) i")
	for name, o := range map[string]walstream.Options{"plain": {}, "synchronous": {Synchronous: true}} {
		sink, _ := backupDirectory(t)
		o.Sink = sink
		r := startOn(t, s, o)
		pos := currentLSN(t, s)
		r.waitWritten(t, pos)
		begun := time.Now()
		r.StopAt(pos)
		r.mustEnd(t)
		// wal_sender_timeout / 2 is 30 seconds: nothing else wakes a receiver.
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("%s: it took %v to stop", name, d)
		}
	}
}

func TestStreamFromAStandbyGoesOnThroughItsPromotion(t *testing.T) {
	primary := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	standby := pgtest.StartStandby(t, primary)
	standby.Exec(t, "select pg_create_physical_replication_slot('keep', true)")
	dir := t.TempDir()
	switched := make(chan lsn.LSN, 1)
	r := startOn(t, standby, walstream.Options{
		Sink:     archiveDirectory(t, dir),
		Observer: walstream.Observer{TimelineSwitched: func(_ uint32, at lsn.LSN) { switched <- at }},
	})
	begin := r.Progress().Written
	primary.Exec(t, "create table x as select generate_series(1, 100000) i")
	primary.Exec(t, "select pg_switch_wal(); insert into x values (1)")
	r.waitWritten(t, currentLSN(t, primary))
	standby.CatchUp(t, primary)
	standby.Promote(t)
	standby.WaitWritable(t)
	standby.Exec(t, "insert into x select generate_series(1, 100000)")
	end := switchWAL(t, standby)
	r.StopAt(end)
	r.mustEnd(t)
	if p := r.Progress(); p.Timeline != 2 {
		t.Fatalf("progress %+v", p)
	}

	const size = 1 << 20
	at := <-switched
	files := readTree(t, dir)
	// The standby renames the last segment of the timeline that it left to
	// .partial too, or has it no more; its content up to the switch is that of
	// the next timeline's first segment.
	switchSegment := at - at%size
	first := files[wal.SegmentName(2, uint64(switchSegment/size), size)]
	last := files[wal.SegmentName(1, uint64(switchSegment/size), size)+".partial"]
	if at%size > 0 && (last == nil || !bytes.Equal(first[:at%size], last[:at%size])) {
		t.Errorf("the timelines' segments differ before the switch at %s", at)
	}
	delete(files, wal.SegmentName(1, uint64(switchSegment/size), size)+".partial")
	checkAgainstServer(t, standby, files, ".partial", 1, begin, switchSegment, size)
	checkAgainstServer(t, standby, files, ".partial", 2, switchSegment, r.Progress().Written, size)
	history, err := os.ReadFile(filepath.Join(standby.DataDir(), "pg_wal/00000002.history"))
	if err != nil || !bytes.Equal(files["00000002.history"], history) {
		t.Errorf("00000002.history is %q, the server's %q, %v", files["00000002.history"], history, err)
	}
	checkNoMore(t, files, "00000002.history")
}

func TestServerKeepsTheConnectionWhileTheSinkStalls(t *testing.T) {
	const timeout = 2 * time.Second
	s := pgtest.Start(t, 15, pgtest.Setting("wal_sender_timeout", timeout.String()))
	for name, o := range map[string]walstream.Options{"sync of a batch": {Synchronous: true}, "sync of a segment": {Slot: "s"}} {
		t.Run(name, func(t *testing.T) {
			if o.Slot != "" {
				s.Exec(t, "select pg_create_physical_replication_slot('s', true)")
			}
			release := make(chan struct{})
			sink := &discard{durable: true, blockSync: release}
			o.Sink = sink
			r := startOn(t, s, o)
			s.Exec(t, "create table if not exists x (i int); insert into x select generate_series(1, 100000)")
			switchWAL(t, s)
			eventually(t, "the sink stalls", sink.syncing)
			// More WAL than the sockets hold, so that the server waits for us.
			s.Exec(t, "insert into x select generate_series(1, 300000)")
			<-time.After(3 * timeout / 2) // the time itself is what is tested
			close(release)
			end := switchWAL(t, s)
			r.StopAt(end)
			r.mustEnd(t)
		})
	}
	if log := s.Log(); strings.Contains(log, "terminating walsender process due to replication timeout") {
		t.Error("the server ended a connection")
	}
}

func TestSynchronousCommitsWaitForTheArchiveOnly(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	dir := t.TempDir()
	sink := newLedger(walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: true, ZeroFill: true}), 0)
	r := startOn(t, s, walstream.Options{Sink: sink, Synchronous: true})
	begin := r.Progress().Written
	s.Exec(t, "create table x (i int)")
	s.Exec(t, "alter system set synchronous_standby_names = 'walstream'")
	s.Exec(t, "select pg_reload_conf()")
	eventually(t, "the receiver is the synchronous standby", func() bool {
		return s.QueryString(t, "select coalesce(max(sync_state), '') from pg_stat_replication") == "sync"
	})
	conn := s.Conn(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range 300 {
		var text string
		if err := conn.QueryRow(ctx, "insert into x values ($1) returning pg_current_wal_insert_lsn()::text", i).Scan(&text); err != nil {
			t.Fatal(err)
		}
		before, err := lsn.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		// The record of the commit, which was waited for, is after that.
		if flushed := r.Progress().Flushed; flushed <= before {
			t.Fatalf("commit %d returned with WAL up to %s synced, it began at %s", i, flushed, before)
		}
	}
	end := currentLSN(t, s)
	r.StopAt(end)
	r.mustEnd(t)
	files := readTree(t, dir)
	checkAgainstServer(t, s, files, ".partial", 1, begin, r.Progress().Written, 1<<20)
	checkNoMore(t, files)
}

func TestTerminatedWalsenderIsAnErrorAndResumed(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	s.Exec(t, "select pg_create_physical_replication_slot('keep', true)")
	dir := t.TempDir()
	sink := archiveDirectory(t, dir)
	r := startOn(t, s, walstream.Options{Sink: sink})
	begin := r.Progress().Written
	s.Exec(t, "create table x as select generate_series(1, 50000) i")
	r.waitWritten(t, currentLSN(t, s))
	s.Exec(t, "select pg_terminate_backend(pid) from pg_stat_replication")
	if err := r.wait(t); !replproto.HasCode(err, "57P01") {
		t.Errorf("got %v", err)
	}
	s.Exec(t, "insert into x select generate_series(1, 50000)")
	p := r.Progress()
	r = startOn(t, s, walstream.Options{Sink: sink, Start: p.Written, Timeline: p.Timeline})
	r.StopAt(switchWAL(t, s))
	r.mustEnd(t)
	files := readTree(t, dir)
	checkAgainstServer(t, s, files, ".partial", 1, begin, r.Progress().Written, 1<<20)
	checkNoMore(t, files)
}

func TestSlotInUseIsTheServersError(t *testing.T) {
	s := pgtest.Start(t, 15)
	s.Exec(t, "select pg_create_physical_replication_slot('s', true)")
	first := startOn(t, s, walstream.Options{Sink: &discard{}, Slot: "s"})
	first.waitWritten(t, currentLSN(t, s))
	var se *replproto.ServerError
	if err := startOn(t, s, walstream.Options{Sink: &discard{}, Slot: "s"}).wait(t); !errors.As(err, &se) || se.Code != "55006" {
		t.Errorf("got %v", err)
	}
}
