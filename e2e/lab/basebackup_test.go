//go:build linux

package lab

import (
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// backupByProgram takes a backup with pgbasin.
func (l *lab) backupByProgram(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(pgtest.TempDir(t), "backup160213")
	args = append([]string{"backup", "-h", l.SocketDir(), "-p", l.port(), "-U", "postgres", "-D", dir, "-cfast", "-N"}, args...)
	if status, stderr := run(t, args...); status != 0 {
		t.Fatalf("exit status %d\n%s", status, stderr)
	}
	return dir
}

// A plain backup without WAL needs the archive; with -X fetch, which was -x, it is
// enough by itself.
func TestMatrixBaseBackup(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		for _, c := range []struct {
			name    string
			archive string
			args    []string
		}{
			{"without WAL", l.archive, []string{"-Xnone"}},
			{"with WAL", "", []string{"-Xfetch"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := l.state(t)
				backup := l.backupByProgram(t, c.args...)
				after := l.state(t)
				if c.archive != "" {
					if segments, err := filepath.Glob(filepath.Join(backup, "pg_wal", "0*")); err != nil || len(segments) > 0 {
						t.Errorf("the backup has WAL: %v, %v", segments, err)
					}
					l.still(func() {
						after = l.state(t)
						l.archiveAll(t)
					})
				}
				s := startRestored(t, l.Major(), l.restore(t, c.archive, backup))
				s.WaitWritable(t)
				got := stateOf(t, s)
				if got.rows < before.rows || got.rows > after.rows || c.archive != "" && got != after {
					t.Errorf("%v in a backup from between %v and %v", got, before, after)
				}
			})
		}
	})
}

// The archive of a receiver has what the server wrote last as a partial segment,
// which is recovered, too.
func TestMatrixRecoveryFromReceivedWAL(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		dir, err := l.MakeDir("received")
		if err != nil {
			t.Fatal(err)
		}
		compression := map[int]string{10: "none", 15: "lz4"}[l.Major()]
		if compression == "" {
			compression = "zstd"
		}
		r := l.receive(t, dir, "-Z", compression)
		backup := l.backupByProgram(t, "-Xnone")
		l.rows(t, 2)
		l.switchWAL(t)
		l.rows(t, 2)
		want := l.stop(t, func() {
			end := l.QueryString(t, "select pg_current_wal_insert_lsn()::text")
			eventually(t, "all WAL is received", func() bool {
				return pgtest.Query[bool](t, l.Server, "select coalesce(bool_or(flush_lsn >= $1::text::pg_lsn), false) from pg_stat_replication", end)
			})
			r.kill()
		})
		if partial, err := filepath.Glob(filepath.Join(dir, "*.partial")); err != nil || len(partial) != 1 {
			t.Fatalf("the archive has the partial segments %v, %v", partial, err)
		}
		tool(t, "chown", "-R", "--reference="+l.archive, dir)
		mustBe(t, recovered(t, l.Major(), l.restore(t, dir, backup)), want)
	})
}

// A standby without a connection follows what is archived, and ends when it is
// told to.
func TestMatrixStandbyFollowsTheArchive(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		b := l.backup(t)
		s := startRestored(t, l.Major(), l.restore(t, l.archive, b.dir, "--standby", "--set", "hot_standby=on", "--set", "wal_retrieve_retry_interval=200ms"))
		var want state
		l.still(func() {
			want = l.state(t)
			l.archiveAll(t)
		})
		eventually(t, "the standby has what is archived", func() bool { return stateOf(t, s).rows >= want.rows })
		if !pgtest.Query[bool](t, s, "select pg_is_in_recovery()") {
			t.Error("the standby has left recovery")
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if left, err := filepath.Glob(filepath.Join(s.DataDir(), "pg_wal", "*pgbasin*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if exists(filepath.Join(s.DataDir(), "postmaster.pid")) {
			t.Error("the standby did not shut down cleanly")
		}
	})
}
