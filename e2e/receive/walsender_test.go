//go:build linux

package receive

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A walsender that stands still for a while, and one that is killed, lose nothing
// of the archive.
func TestStoppedAndKilledWalsenders(t *testing.T) {
	together(t)
	s := pgtest.Start(t, 18, pgtest.WALSegSize(1))
	keep(t, s)
	s.Exec(t, "create table x (i int, t text)")
	if status, said := runOnce(t, append(to(s), "--create-slot", "-S", "archive")...); status != 0 {
		t.Fatal(said)
	}
	dir := t.TempDir()
	r := start(t, append(to(s), "-D", dir, "-S", "archive", "--synchronous")...)
	sender := func(not int32) (pid int32) {
		eventually(t, "a walsender", func() bool {
			conn, err := s.Connect(t.Context())
			if err != nil {
				return false // the server recovers
			}
			defer conn.Close(t.Context())
			err = conn.QueryRow(t.Context(), "select coalesce(max(pid), 0) from pg_stat_replication where state = 'streaming'").Scan(&pid)
			return err == nil && pid != 0 && pid != not
		})
		return pid
	}
	fill := func() string {
		s.Exec(t, "insert into x select i, repeat(md5(i::text), 10) from generate_series(1, 8000) i")
		return switchWAL(t, s)
	}
	pid := sender(0)
	signal := func(sig syscall.Signal) {
		if err := syscall.Kill(int(pid), sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	last := fill()
	if exists(filepath.Join(dir, last)) {
		t.Error("the walsender was not stopped")
	}
	signal(syscall.SIGCONT)
	waitFile(t, filepath.Join(dir, last))
	if now := sender(0); now != pid {
		t.Errorf("the connection was lost: %d, then %d", pid, now)
	}
	signal(syscall.SIGKILL)
	sender(pid)
	waitFile(t, filepath.Join(dir, fill()))
	r.stop(t)
	compare(t, s, dir, codec.None)
}
