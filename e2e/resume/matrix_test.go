//go:build unix

package resume

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// How backups end whose connections are lost, and how they go on, on one server for each
// version.
func TestMatrix(t *testing.T) {
	few.Each(t, harness.Majors(t, *majorsFlag), func(t *testing.T, major int) {
		s := startSource(t, major)
		t.Run("slot", s.slot)
		t.Run("retries", s.retries)
		t.Run("signals", s.signals)
		t.Run("drop-in", s.dropIn)
		t.Run("restart", s.restart)
		t.Run("promoted", s.promoted)
		t.Run("summaries", s.summaries)
	})
}

// half lets half of a backup through.
func (p *place) half(connection int) {
	p.proxy.On(connection, faultproxy.Server, faultproxy.After(p.whole/2), faultproxy.Reset)
}

// A slot that is made for the backup is made once, and is there in the end.
func (s *source) slot(t *testing.T) {
	p := s.place(t)
	p.half(mainConnection)
	run := start(t, p.args("-C", "-S", "mine", "-T", p.mapping())...)
	run.succeeded(t)
	says(t, run.stderr.String(), "resumed: ")
	if n := pgtest.Query[int64](t, s.Server, "select count(*) from pg_replication_slots"); n != 1 {
		t.Errorf("%d slots, want that of the backup", n)
	}
	s.Exec(t, "select pg_drop_replication_slot('mine')")

	// Also when another run goes on with it.
	p = s.place(t)
	p.killed(t, mainConnection, s.whole/2, "-C", "-S", "mine", "-T", p.mapping())
	p.reconnect(t)
	start(t, p.args("-C", "-S", "mine", "--resume")...).succeeded(t)
	s.Exec(t, "select pg_drop_replication_slot('mine')")
	p.check(t)
}

// When no attempt is left, what there is stays, and another run goes on with it.
func (s *source) retries(t *testing.T) {
	p := s.place(t)
	p.half(mainConnection)
	for n := 2; n < 40; n++ { // 1 has the WAL
		p.proxy.Drop(n)
	}
	run := start(t, p.args("--retries", "2", "-C", "-S", "mine", "-T", p.mapping())...)
	if status := run.wait(t); status != 1 {
		t.Fatalf("exit status %d", status)
	}
	said := run.stderr.String()
	says(t, said, "have arrived whole and were kept in \""+p.dir+"\"", "pgbasin backup --resume -D \""+p.dir+"\"", "failed to remove replication slot \"mine\"")
	if n := strings.Count(said, "trying to go on"); n != 2 {
		t.Errorf("%d more attempts, want 2:\n%s", n, said)
	}
	if !basebackup.HasJournal(p.dir) {
		t.Error("there is no journal")
	}
	for _, args := range [][]string{{"verify", p.dir}, {"restore", "-D", p.dir + "-restored", p.dir}} {
		if run := start(t, args...); run.wait(t) != 1 {
			t.Errorf("%s takes it for a backup:\n%s", args[0], run.stdout.String())
		}
	}
	s.Exec(t, "select pg_drop_replication_slot('mine')")
	p.reconnect(t)
	run = start(t, p.args("--resume")...)
	run.succeeded(t)
	if r := run.report(t); r.Attempts != 2 || r.KeptBytes < 5<<20 {
		t.Errorf("%+v", r)
	}
	p.check(t)
}

// A signal ends a backup with everything that it made, and leaves what an earlier run has
// left.
func (s *source) signals(t *testing.T) {
	p := s.place(t)
	p.half(mainConnection)
	p.proxy.On(2, faultproxy.Server, faultproxy.After(s.whole/10), faultproxy.Stall(nil))
	ends := func(run *program, connection int, after int64) {
		t.Helper()
		eventually(t, "the second attempt", func() bool {
			traffic := p.proxy.Traffic()
			return run.ended() || len(traffic) > connection && traffic[connection].FromServer >= after
		})
		if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if status := run.wait(t); status != 1 {
			t.Fatalf("exit status %d", status)
		}
		says(t, run.stderr.String(), "terminated by signal SIGTERM")
	}
	ends(start(t, p.args("-T", p.mapping())...), 2, s.whole/10)
	for _, dir := range []string{p.dir, p.dir + "-space"} {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}

	p.reconnect(t)
	p.killed(t, mainConnection, s.whole/2, "-T", p.mapping())
	p.reconnect(t)
	p.proxy.On(resumedConnection, faultproxy.Server, faultproxy.After(s.whole/10), faultproxy.Stall(nil))
	run := start(t, p.args("--resume")...)
	ends(run, resumedConnection, s.whole/10)
	says(t, run.stderr.String(), "were kept in")
	p.reconnect(t)
	start(t, p.args("--resume")...).succeeded(t)
	p.check(t)
}

// In place of pg_basebackup nothing is different from it.
func (s *source) dropIn(t *testing.T) {
	p := s.place(t)
	p.half(mainConnection)
	run := startAs(t, pgBasebackup, p.args("-T", p.mapping())[1:]...)
	if status := run.wait(t); status != 1 {
		t.Fatalf("exit status %d", status)
	}
	if said := run.stderr.String(); strings.Contains(said, "resume") {
		t.Errorf("it says %s", said)
	}
	if _, err := os.Lstat(p.dir); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
	if n := p.proxy.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// A server that is started again is waited for.
func (s *source) restart(t *testing.T) {
	if _, err := s.load.Stop(); err != nil {
		t.Error(err)
	}
	p := s.place(t)
	run := start(t, p.args("-r10M", "-T", p.mapping())...)
	eventually(t, "a part of the data", func() bool {
		traffic := p.proxy.Traffic()
		return run.ended() || len(traffic) == 2 && traffic[mainConnection].FromServer > s.whole/4
	})
	s.Restart(t)
	run.succeeded(t)
	says(t, run.stderr.String(), "resumed: ")
	p.check(t)
}

// A standby that has everything and was promoted is as good as its primary was.
func (s *source) promoted(t *testing.T) {
	standby := &source{Server: pgtest.StartStandby(t, s.Server), sums: s.sums, whole: s.whole}
	s.Exec(t, "checkpoint")
	p := s.place(t)
	p.killed(t, mainConnection, s.whole/2, "-T", p.mapping())
	s.Exec(t, "update load.tellers set filler = 'late'")
	standby.CatchUp(t, s.Server)
	standby.Promote(t)
	standby.Exec(t, "update load.branches set filler = 'new'")
	p.source = standby
	p.reconnect(t)
	run := start(t, p.args("--resume")...)
	run.succeeded(t)
	if r := run.report(t); r.Timeline != 2 || r.KeptBytes < 5<<20 {
		t.Errorf("%+v", r)
	}
	p.check(t)
}

// Without the server's record of what was changed nothing can be resumed.
func (s *source) summaries(t *testing.T) {
	p := s.place(t)
	p.killed(t, mainConnection, s.whole/2, "-T", p.mapping())
	s.Exec(t, "checkpoint")
	// One that is not written yet would still come.
	eventually(t, "a summary up to the checkpoint", func() bool {
		return pgtest.Query[bool](t, s.Server, "select max(end_lsn) >= (select redo_lsn from pg_control_checkpoint()) from pg_available_wal_summaries()")
	})
	for _, name := range strings.Fields(glob(t, s.DataDir(), "pg_wal/summaries/*.summary")) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	p.reconnect(t)
	run := start(t, p.args("--resume")...)
	if status := run.wait(t); status != 1 {
		t.Fatalf("exit status %d", status)
	}
	says(t, run.stderr.String(), "cannot resume the backup in \""+p.dir+"\", a fresh one is needed: ", "ERROR:  WAL summaries are required on timeline 1 from ", "leave out --resume")
	if !basebackup.HasJournal(p.dir) {
		t.Error("what there was is gone")
	}
}
