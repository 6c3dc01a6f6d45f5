//go:build unix

package phases

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// What the matrix does not hold: servers that are there and do not run, connections
// on which nothing is to be said, and what depends on two of them.
func TestServersThatFallSilent(t *testing.T) {
	t.Parallel()
	s := startServer(t, 18)
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *server)
	}{
		{"a server that vanishes during the checkpoint is given up", vanishInCheckpoint},
		{"a backup survives a server that stands still for a while", func(t *testing.T, s *server) { stopInBackup(t, s, serverTimeout/4, true) }},
		{"a backup gives a server up that stands still", func(t *testing.T, s *server) { stopInBackup(t, s, 2*serverTimeout, false) }},
		{"the receiver connects again when its server stands still", stopInStream},
		{"a server that waits for its archiver is waited for", waitForArchiver},
		{"an idle stream lives longer than the server timeout", func(t *testing.T, s *server) { idleStream(t, s, "idle", "") }},
		{"an idle encrypted stream does, too", func(t *testing.T, s *server) { idleStream(t, s, "secretly", "sslmode=require") }},
		{"a keepalive that is cut in two is a loss", func(t *testing.T, s *server) { loseInKeepalive(t, s, "cut", faultproxy.Cut) }},
		{"a keepalive that never ends is a loss", func(t *testing.T, s *server) { loseInKeepalive(t, s, "half", faultproxy.Vanish) }},
		{"the receiver waits for a server that refuses connections", refused},
		{"commits whose acknowledgement is lost are confirmed when they are in the archive", lostAcknowledgement},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, s)
		})
	}
}

// The main connection may be silent then, but the other one is asked.
func vanishInCheckpoint(t *testing.T, s *server) {
	home := pgtest.TempDir(t)
	proxy := s.proxy(t)
	f := proxy.On(0, faultproxy.Server, faultproxy.AtAnswer("BASE_BACKUP"), faultproxy.Stall(nil))
	go func() {
		<-f.Happened()
		proxy.Now(faultproxy.Vanish)
	}()
	_, err := takeBackup(t.Context(), connect(t, proxy, "", serverTimeout), filepath.Join(home, "new", "backup"))
	f.Struck(t)
	var silence *replproto.SilenceError
	if !errors.As(err, &silence) {
		t.Error(err)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// It says that it waits, and then nothing for a minute.
func waitForArchiver(t *testing.T, s *server) {
	hold := filepath.Join(s.DataDir(), "hold")
	if err := os.WriteFile(hold, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	proxy := s.proxy(t)
	waits := make(chan struct{}, 100)
	o := basebackup.Options{
		Connect: connect(t, proxy, "", serverTimeout), FastCheckpoint: true, WAL: basebackup.WALNone,
		Observer: basebackup.Observer{Notice: func(*replproto.Notice) { waits <- struct{}{} }},
	}
	done := make(chan error, 1)
	go func() {
		_, err := basebackup.Run(context.Background(), o, basebackup.TarDirectory(basebackup.TarOptions{Path: filepath.Join(t.TempDir(), "backup")}))
		done <- err
	}()
	for range 2 {
		select {
		case err := <-done:
			t.Fatalf("the archiver was not waited for: %v", err)
		case <-waits:
			// The second time is longer than the server was given for its notice.
			time.AfterFunc(11*time.Second, func() { waits <- struct{}{} })
		case <-time.After(patience):
			t.Fatal("the server does not say that it waits")
		}
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	// Which wakes the archiver.
	s.Exec(t, "insert into filler values ('x'); select pg_switch_wal()")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// senders are the processes behind an application's replication connections.
func senders(t *testing.T, s *server, application string) []int {
	t.Helper()
	rows, err := s.Conn(t).Query(t.Context(), "select pid from pg_stat_replication where application_name = $1", application)
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

// standStill stops processes, and lets them go on when the function is called that
// is returned, or at the end of the test.
func standStill(t *testing.T, pids []int) (goOn func()) {
	t.Helper()
	goOn = func() {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	t.Cleanup(goOn)
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	return goOn
}

func stopInBackup(t *testing.T, s *server, still time.Duration, survives bool) {
	home := pgtest.TempDir(t)
	proxy := s.proxy(t)
	// The gate keeps the backup from ending before its server stands still.
	gate := faultproxy.NewGate()
	f := proxy.On(0, faultproxy.Server, faultproxy.AtAnswer("BASE_BACKUP").Message("dd", 20), faultproxy.Stall(gate))
	name := filepath.Base(home)
	done := make(chan error, 1)
	go func() {
		_, err := takeBackup(t.Context(), connect(t, proxy, "application_name="+name, serverTimeout), filepath.Join(home, "new", "backup"))
		done <- err
	}()
	f.Struck(t)
	pids := senders(t, s, name)
	if len(pids) != 2 {
		t.Fatalf("%d connections", len(pids))
	}
	goOn := standStill(t, pids)
	gate.Open()
	time.AfterFunc(still, goOn)
	err := <-done
	var silence *replproto.SilenceError
	if survives && err != nil || !survives && !errors.As(err, &silence) {
		t.Error(err)
	}
}

func stopInStream(t *testing.T, s *server) {
	f := follow(t, s.proxy(t), "stopped", false)
	f.waitFor(t, emit(t, s))
	standStill(t, senders(t, s, "stopped"))
	var silence *replproto.SilenceError
	if err := <-f.lost; !errors.As(err, &silence) {
		t.Error(err)
	}
	pos := emit(t, s)
	f.waitFor(t, pos)
	f.same(t, s, pos)
}

func idleStream(t *testing.T, s *server, name, settings string) {
	proxy := s.proxy(t)
	f := follow(t, proxy, name, false, settings)
	f.waitFor(t, emit(t, s))
	select {
	case err := <-f.lost:
		t.Error(err)
	case <-time.After(2*serverTimeout + serverTimeout/2):
	}
	pos := emit(t, s)
	f.waitFor(t, pos)
	f.same(t, s, pos)
	if n := proxy.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func loseInKeepalive(t *testing.T, s *server, name string, do faultproxy.Action) {
	proxy := s.proxy(t)
	struck := proxy.On(0, faultproxy.Server, faultproxy.AtAnswer("START_REPLICATION").Message("dk", 1).Plus(9), do)
	f := follow(t, proxy, name, false)
	struck.Struck(t)
	if err := <-f.lost; !errors.Is(err, replproto.ErrConnectionLost) {
		t.Error(err)
	}
	pos := emit(t, s)
	f.waitFor(t, pos)
	f.same(t, s, pos)
}

func refused(t *testing.T, s *server) {
	proxy := s.proxy(t)
	f := follow(t, proxy, "refused", false)
	f.waitFor(t, emit(t, s))
	proxy.Refuse(t, true)
	proxy.Now(faultproxy.Reset)
	if err := <-f.lost; !errors.Is(err, replproto.ErrConnectionLost) {
		t.Error(err)
	}
	if err := <-f.lost; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	pos := emit(t, s)
	proxy.Refuse(t, false)
	proxy.Drop(1)
	// Once more refused, perhaps, and then accepted and dropped.
	err := <-f.lost
	for errors.Is(err, syscall.ECONNREFUSED) {
		err = <-f.lost
	}
	if !errors.Is(err, replproto.ErrConnectionLost) && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	f.waitFor(t, pos)
	f.same(t, s, pos)
}

// A synchronous commit returns when it is durable in the archive, not before, also
// when the receiver's word for that gets lost on the way.
func lostAcknowledgement(t *testing.T, s *server) {
	proxy := s.proxy(t)
	f := follow(t, proxy, "acknowledging", true)
	f.waitFor(t, emit(t, s))
	s.Exec(t, "alter system set synchronous_standby_names = 'acknowledging'")
	s.Exec(t, "select pg_reload_conf()")
	conn := s.Conn(t)
	commit := func() lsn.LSN {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := conn.Exec(ctx, "set synchronous_commit = on; insert into filler values ('confirmed')"); err != nil {
			t.Fatal(err)
		}
		var text string
		if err := conn.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&text); err != nil {
			t.Fatal(err)
		}
		pos, err := lsn.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return pos
	}
	commit()
	if n := proxy.Connections(); n != 1 {
		t.Fatalf("%d connections before anything was lost", n)
	}
	proxy.Now(faultproxy.LoseOther)
	commit()
	// The walsender that heard nothing has ended, and the next one has heard.
	if n := proxy.Connections(); n < 2 {
		t.Errorf("a commit was confirmed over %d connections", n)
	}
	flushed := s.QueryString(t, "select flush_lsn::text from pg_stat_replication where application_name = 'acknowledging'")
	pos, err := lsn.Parse(flushed)
	if err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, pos)
	f.same(t, s, pos)
}
