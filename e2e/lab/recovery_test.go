//go:build linux

package lab

import (
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// Without a target everything that was archived comes back, to the last row.
func TestMatrixCompleteRecovery(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		b := l.backup(t)
		l.rows(t, 3)
		var archived state
		l.still(func() {
			archived = l.state(t)
			l.archiveAll(t)
		})
		l.rows(t, 2)
		mustBe(t, l.recover(t, b.tar), archived)
	})
}

// Recovery ends exactly where it was told to, whatever the target is.
func TestMatrixPointInTimeRecovery(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		b := l.backup(t)
		backup := l.backupByProgram(t, "-Ft", "-z")

		atPoint := l.stop(t, func() { l.Exec(t, "select pg_create_restore_point('before Bob''s accident')") })
		var position string
		atLSN := l.stop(t, func() { position = l.QueryString(t, "select pg_current_wal_insert_lsn()::text") })
		before := l.stop(t, func() {})
		var xid string
		withXID := l.stop(t, func() {
			before = l.state(t)
			xid = l.QueryString(t, "insert into testlog values (clock_timestamp()) returning txid_current()::text")
		})
		l.rows(t, 5)
		betweenRows, time := l.betweenRows(t, l.Server)
		l.rows(t, 2)
		l.archiveAll(t)

		for _, c := range []struct {
			name   string
			backup string
			want   state
			args   []string
		}{
			{"time", b.dir, betweenRows, []string{"--target-time", time}},
			{"restore point", backup, atPoint, []string{"--target-name", "before Bob's accident"}},
			{"LSN", b.dir, atLSN, []string{"--target-lsn", position, "--target-exclusive"}},
			{"transaction", b.tar, withXID, []string{"--target-xid", xid}},
			{"before a transaction", backup, before, []string{"--target-xid", xid, "--target-exclusive"}},
		} {
			t.Run(c.name, func(t *testing.T) { mustBe(t, l.recover(t, c.backup, c.args...), c.want) })
		}
	})
}

// stop lets some rows be written and returns what the table has while f runs, after
// which it is written to again.
func (l *lab) stop(t *testing.T, f func()) (at state) {
	t.Helper()
	l.rows(t, 2)
	l.still(func() {
		f()
		at = l.state(t)
	})
	return at
}

// betweenRows is a time between two of the newest rows of a table that one
// session after the other has written to, and what it had then: the last
// microsecond before the newer row was made, when the older had been committed.
func (l *lab) betweenRows(t *testing.T, s *pgtest.Server) (at state, time string) {
	t.Helper()
	time = s.QueryString(t, "select (ts - interval '1 microsecond')::text from testlog order by ts desc offset 1 limit 1")
	return stateAt(t, s, time), time
}

// A server that was recovered goes on on a timeline of its own, in the same
// archive, and the same backup can be recovered along that one.
func TestMatrixPointInTimeRecoveryAcrossTimelines(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		b := l.backup(t)
		l.rows(t, 5)
		first, time := l.betweenRows(t, l.Server)
		l.archiveAll(t)
		// Other sections must not find the second timeline.
		archive, err := l.MakeDir("timelines")
		if err != nil {
			t.Fatal(err)
		}
		tool(t, "cp", "-pR", l.archive+"/.", archive)

		command := "archive_command=" + pgbasin + " wal-push --compress=zstd --to=" + archive + " %p"
		dir := l.restore(t, archive, b.dir, "--target-time", time, "--set", "archive_mode=on", "--set", command)
		second := recovered(t, l.Major(), dir)
		mustBe(t, second, first)
		for range 3 {
			second.Exec(t, "insert into testlog values (clock_timestamp())")
		}
		want, time := l.betweenRows(t, second)
		if want.rows != first.rows+1 {
			t.Fatalf("the second timeline has %v at %s", want, time)
		}
		last := second.QueryString(t, "select pg_walfile_name(pg_switch_wal())")
		eventually(t, last+" is archived", func() bool { return exists(filepath.Join(archive, last+".zst")) })
		if err := second.Kill(); err != nil {
			t.Fatal(err)
		}

		dir = l.restore(t, archive, b.dir, "--target-time", time, "--target-timeline", "latest")
		third := recovered(t, l.Major(), dir)
		mustBe(t, third, want)
		if name := currentSegment(t, third); name[:8] != "00000003" {
			t.Errorf("after the second recovery it writes to %s", name)
		}
	})
}
