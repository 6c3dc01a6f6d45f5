//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// restoredToAPoint recovers a chain, whose last backup has no WAL, from an archive to
// a restore point after all of them. The slot that keeps the WAL is dropped.
func restoredToAPoint(t *testing.T, s *pgtest.Server, chain []link) {
	s.Exec(t, "update big set t = 'before the point' where i % 1000 = 1; insert into moved values (0, 'before the point')")
	want := pgtest.Sums(t, s)
	s.Exec(t, "select pg_create_restore_point('together')")
	s.Exec(t, "delete from big where i > 10000; truncate moved")
	s.Exec(t, "select pg_switch_wal()")
	end := s.QueryString(t, "select pg_current_wal_lsn()::text")
	s.Exec(t, "checkpoint") // WAL behind the segment

	archive := pgtest.TempDir(t)
	run(t, pgbasin, append([]string{"receive", "-D", archive, "-S", "archive", "--no-loop", "--no-sync", "--endpos", end}, longConnection(s)...)...).succeeded(t)
	s.Exec(t, "select pg_drop_replication_slot('archive')")
	// The server may run as another user.
	files, err := filepath.Glob(filepath.Join(archive, "0*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if err := os.Chmod(f, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	dirs := make([]string, len(chain))
	for i, l := range chain {
		dirs[i] = l.dir
	}
	into := filepath.Join(pgtest.TempDir(t), "data")
	args := []string{"restore", "--json", "-N", "-D", into, "-T" + tablespaceOf(t, chain[1].dir) + "=" + into + "-space",
		"--wal-archive", archive, "--target-name", "together", "--target-action", "promote"}
	o := run(t, pgbasin, append(args, dirs...)...)
	o.succeeded(t)
	if !strings.Contains(o.stdout, `"verified":true`) {
		t.Errorf("%s", o.stdout)
	}
	restored := pgtest.StartDir(t, s.Major(), into)
	restored.WaitWritable(t)
	pgtest.SameSums(t, pgtest.Sums(t, restored), want)
	if timeline := restored.QueryString(t, "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"); timeline != "00000002" {
		t.Errorf("it goes on with timeline %s", timeline)
	}
}
