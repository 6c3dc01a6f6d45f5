//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// state is what the table has.
type state struct {
	rows int64
	last string // the newest row
}

func (s state) String() string { return fmt.Sprintf("%d rows up to %s", s.rows, s.last) }

func stateOf(t *testing.T, s *pgtest.Server) state {
	t.Helper()
	return stateAt(t, s, "infinity")
}

// stateAt leaves out what is newer than a time.
func stateAt(t *testing.T, s *pgtest.Server, time string) (at state) {
	t.Helper()
	const sql = "select count(*), coalesce(max(ts)::text, '') from testlog where ts <= $1::text::timestamptz"
	ctx := context.Background()
	conn, err := s.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql, time).Scan(&at.rows, &at.last); err != nil {
		t.Fatal(err)
	}
	return at
}

func (l *lab) state(t *testing.T) state { return stateOf(t, l.Server) }

// mustBe fails the test if a recovered server does not have exactly what the
// source had.
func mustBe(t *testing.T, s *pgtest.Server, want state) {
	t.Helper()
	if got := stateOf(t, s); got != want {
		t.Errorf("recovered: %v, the source had %v", got, want)
	}
}

// run runs the program under test and returns what it said on standard error.
func run(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(pgbasin, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + os.TempDir()}
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// restore lays out a data directory that takes WAL from an archive, if there is
// one, and archives none itself.
func (l *lab) restore(t *testing.T, archive, backup string, args ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(pgtest.TempDir(t), "data")
	args = append([]string{"restore", "-N", "-D", dir, "--set", "archive_mode=off"}, args...)
	if archive != "" {
		args = append(args, "--wal-archive", archive)
	}
	if status, stderr := run(t, append(args, backup)...); status != 0 {
		t.Fatalf("pgbasin %s: exit status %d\n%s", strings.Join(args, " "), status, stderr)
	}
	return dir
}

// recover restores a backup and lets it recover from the lab's archive to its end
// or target.
func (l *lab) recover(t *testing.T, backup string, args ...string) *pgtest.Server {
	t.Helper()
	return recovered(t, l.Major(), l.restore(t, l.archive, backup, args...))
}

// startRestored starts a restored data directory, for as long as the test runs.
func startRestored(t *testing.T, major int, dir string) *pgtest.Server {
	t.Helper()
	s := pgtest.StartDir(t, major, dir)
	t.Cleanup(func() { s.Kill() }) // the time of a clean shutdown is better spent elsewhere
	return s
}

// recovered starts a restored data directory and waits until it has left
// recovery, on a new timeline.
func recovered(t *testing.T, major int, dir string) *pgtest.Server {
	t.Helper()
	s := startRestored(t, major, dir)
	s.WaitWritable(t)
	if name := currentSegment(t, s); strings.HasPrefix(name, "00000001") {
		t.Errorf("after recovery it writes to %s", name)
	}
	return s
}

func currentSegment(t *testing.T, s *pgtest.Server) string {
	t.Helper()
	return s.QueryString(t, "select pg_walfile_name(pg_current_wal_lsn())")
}
