package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Start starts a server for a test, which ends with it. When the test fails, the end of the server's log is logged.
func Start(t testing.TB, major int, opts ...Option) *Server {
	t.Helper()
	return begin(t, Config{Major: major}, opts)
}

// StartDir starts a server on an existing data directory, such as a restored backup. The directory stays when the test ends;
// see Config.DataDir. Settings are given on the command line, and ssl is off unless asked for.
func StartDir(t testing.TB, major int, dataDir string, opts ...Option) *Server {
	t.Helper()
	return begin(t, Config{Major: major, DataDir: dataDir}, opts)
}

// StartStandby starts a streaming standby of a running primary and waits until it streams. It uses no replication slot.
func StartStandby(t testing.TB, primary *Server, opts ...Option) *Server {
	t.Helper()
	return begin(t, Config{Major: primary.Major(), Standby: primary}, opts)
}

func begin(t testing.TB, cfg Config, opts []Option) *Server {
	t.Helper()
	for _, opt := range opts {
		opt(&cfg)
	}
	s, err := Launch(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of PostgreSQL %d on %s:\n%s", s.Major(), s.DataDir(), tail(s.Log(), 60))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TempDir is like testing.TB's method of that name, for data directories: the server's user can reach what is in it, and what
// a test that is killed leaves behind is removed by a later run. Copies and restores below it are quicker on ext4; see Spread.
func TempDir(t testing.TB) string {
	t.Helper()
	o, err := serverOwner()
	if err != nil {
		t.Fatal(err)
	}
	dir, lock, err := newServerDir(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.RemoveAll(dir), lock.Close()); err != nil {
			t.Error(err)
		}
	})
	work := unique(dir, "work-")
	if err := errors.Join(os.Mkdir(work, 0o755), os.Chmod(work, 0o755)); err != nil {
		t.Fatal(err)
	}
	return work
}

// patience bounds what a test waits for.
const patience = 60 * time.Second

// Conn returns a connection as the superuser that is closed when the test ends.
func (s *Server) Conn(t testing.TB) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Exec runs a statement on a connection of its own. Without arguments it may be several, separated by semicolons.
func (s *Server) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn, err := s.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if len(args) == 0 {
		args = []any{pgx.QueryExecModeSimpleProtocol}
	}
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Query returns the one value of a query's one row.
func Query[T any](t testing.TB, s *Server, sql string, args ...any) T {
	t.Helper()
	var value T
	conn, err := s.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// QueryString returns the one text value of a query's one row.
func (s *Server) QueryString(t testing.TB, sql string, args ...any) string {
	t.Helper()
	return Query[string](t, s, sql, args...)
}

// Restart stops the server if it runs and starts it again on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.Relaunch(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Promote makes a standby a primary and waits until it accepts writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.promote(ctx); err != nil {
		t.Fatal(err)
	}
}

// WaitWritable waits until the server has left recovery.
func (s *Server) WaitWritable(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.until(ctx, "select not pg_is_in_recovery()"); err != nil {
		t.Fatal(err)
	}
}

// CatchUp waits until a standby has replayed all that its primary has written by now.
func (s *Server) CatchUp(t testing.TB, primary *Server) {
	t.Helper()
	target := primary.QueryString(t, "select pg_current_wal_flush_lsn()::text")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.until(ctx, "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn", target); err != nil {
		t.Fatal(err)
	}
}

// TempDir makes a directory that the server's user owns and that goes with the server.
func (s *Server) TempDir(t testing.TB) string {
	t.Helper()
	dir, err := s.MakeDir("dir-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// MakeDir makes a directory that the server's user owns and that goes with the server; its name begins with prefix.
func (s *Server) MakeDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp(s.dir, prefix)
	if err != nil {
		return "", err
	}
	return dir, s.owner.giveOne(dir)
}

// CreateTablespace makes a tablespace in a new directory that goes with the server, and returns the directory.
func (s *Server) CreateTablespace(t testing.TB, name string) string {
	t.Helper()
	dir, err := s.MakeTablespace(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// MakeTablespace is CreateTablespace without a test.
func (s *Server) MakeTablespace(ctx context.Context, name string) (string, error) {
	dir, err := s.MakeDir(tablespacePrefix + filepath.Base(name) + "-")
	if err != nil {
		return "", err
	}
	conn, err := s.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, fmt.Sprintf("create tablespace %s location %s", ident(name), literal(dir)))
	return dir, err
}

// ReplicationUser makes a user that may log in and replicate. With the empty password it has none.
func (s *Server) ReplicationUser(t testing.TB, name, password string) {
	t.Helper()
	sql := "create role " + ident(name) + " login replication"
	if password != "" {
		sql += " password " + literal(password)
	}
	s.Exec(t, sql)
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }
