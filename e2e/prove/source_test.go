//go:build linux

package prove

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// source is a server with page checksums, a WAL archive and some data: tables with
// their indexes in the databases postgres and app.
type source struct {
	*pgtest.Server
	archive string // of WAL
}

func newSource(t *testing.T, major int) *source {
	t.Helper()
	// The archive is the server's user's, who writes to it.
	archive := filepath.Join(pgtest.TempDir(t), "archive")
	if err := os.Mkdir(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	s := &source{archive: archive}
	s.Server = pgtest.Start(t, major, pgtest.Checksums(true), pgtest.FreshInitdb(), pgtest.Settings(map[string]string{
		"archive_mode": "on", "archive_command": fmt.Sprintf("%s wal-push --to %s %%p", pgbasin, archive),
		"autovacuum": "off", // the files must not change after what a test writes to them
	}))
	s.Exec(t, "create table numbers (id int primary key, t text); insert into numbers select i, 'number ' || i from generate_series(1, 3000) i")
	s.Exec(t, "create database app")
	exec := connectTo(t, s, "app")
	exec("create table orders (id int, at timestamptz)")
	exec("insert into orders select i, now() from generate_series(1, 100) i")
	s.Exec(t, "checkpoint")
	return s
}

// backUp takes a backup into a new directory, and returns that.
func (s *source) backUp(t *testing.T, args ...string) string {
	t.Helper()
	dir := filepath.Join(pgtest.TempDir(t), "backup")
	succeed(t, append([]string{"backup", "-d", s.DSN(), "-D", dir, "-cfast", "--no-sync"}, args...)...)
	return dir
}

// switchWAL ends a segment, and waits until it is in the archive.
func (s *source) switchWAL(t *testing.T) (segment string) {
	t.Helper()
	segment = s.QueryString(t, "select pg_walfile_name(pg_switch_wal())")
	conn := s.Conn(t)
	for archived := false; !archived; {
		if err := conn.QueryRow(context.Background(), "select coalesce(last_archived_wal >= $1, false) from pg_stat_archiver", segment).Scan(&archived); err != nil {
			t.Fatal(err)
		}
	}
	return segment
}

// file is the path of a relation below the data directory.
func (s *source) file(t *testing.T, relation string) string {
	t.Helper()
	return s.QueryString(t, "select pg_relation_filepath($1::text::regclass)", relation)
}

// insert commits one row, and ends the segment that it is in.
func (s *source) insert(t *testing.T, id int) (segment string) {
	t.Helper()
	s.Exec(t, fmt.Sprintf("insert into numbers values (%d, 'later')", id))
	return s.switchWAL(t)
}

// connectTo returns a function that runs a statement in a database.
func connectTo(t *testing.T, s *source, database string) func(sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.DSN()+" dbname="+database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return func(sql string) {
		t.Helper()
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// walDir is where the data directory has its WAL.
func (s *source) walDir() string {
	if s.Major() < 10 {
		return "pg_xlog"
	}
	return "pg_wal"
}
