// Package provetest gives Go tests a throwaway PostgreSQL server with the data of
// another one, or of a backup:
//
//	dsn := provetest.Clone(t, os.Getenv("DATABASE_URL"))
//	conn, err := pgx.Connect(ctx, dsn)
//
// The server is started from a copy of all databases, in a directory of its own
// below the system's for temporary files; it is not reachable from elsewhere and
// reaches nothing. It accepts writes, lets every role in without a password, and
// ends with the test, also when the test's process is killed (Linux). What it
// runs of the cluster's configuration is told at package prove.
//
// The programs of a server of the same major version must be installed.
package provetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

// Option changes how a server is made.
type Option func(*config)

type config struct {
	server       prove.ServerOptions
	recovery     recoveryconf.Recovery
	incrementals []string
	timeout      time.Duration
}

// BinDir is the directory of the server's programs. Without it they are looked
// for where packages put them, and in PATH.
func BinDir(dir string) Option { return func(c *config) { c.server.BinDir = dir } }

// RunAs is the user that the server runs as when the test runs as root; without
// it that is "postgres".
func RunAs(user string) Option { return func(c *config) { c.server.User = user } }

// TempDir is where the server's directory is made.
func TempDir(dir string) Option { return func(c *config) { c.server.TempDir = dir } }

// Setting adds a server setting. Those that the server's isolation depends on are
// refused.
func Setting(name, value string) Option {
	return func(c *config) {
		c.server.Settings = append(c.server.Settings, recoveryconf.Param{Name: name, Value: value})
	}
}

// Recovery is how the server recovers from the backup of Restore: where WAL comes
// from, and to which target. Without it, the WAL in the backup is replayed.
func Recovery(r recoveryconf.Recovery) Option { return func(c *config) { c.recovery = r } }

// Incrementals are the incremental backups that follow the one given to Restore,
// oldest first. The newest is what is restored.
func Incrementals(backups ...string) Option {
	return func(c *config) { c.incrementals = backups }
}

// Timeout bounds the time until the server accepts connections; without it that
// is ten minutes, and the end of the test's own time in any case.
func Timeout(d time.Duration) Option { return func(c *config) { c.timeout = d } }

// Restore restores a backup, starts a server on it, and returns a connection
// string for it, as a superuser. The backup is one that "pgbasin restore" takes; see
// Incrementals for one that builds on others. When that fails, so does the test.
func Restore(t testing.TB, backup string, opts ...Option) string {
	t.Helper()
	c := configuration(opts)
	path, err := filepath.Abs(backup)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, c, "backup "+path, prove.Restored(restore.Options{Backup: path, Incrementals: c.incrementals, Recovery: c.recovery}))
	return s.DSN("", "")
}

// Clone takes a base backup of a running server, starts a server on it, and
// returns a connection string for that, with the user and the database of dsn, which
// the server must accept for ordinary and for replication connections. The data are those of the
// moment at which the copy ended. When that fails, so does the test.
//
// As with libpq, what dsn does not say comes from the environment.
func Clone(t testing.TB, dsn string, opts ...Option) string {
	t.Helper()
	given, err := conninfo.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, configuration(opts), "a clone of "+settings.Value("host"), backUp(dsn, settings))
	database := settings.Value("dbname")
	if database == "" {
		database = settings.Value("user") // as libpq does
	}
	return s.DSN(settings.Value("user"), database)
}

func configuration(opts []Option) *config {
	c := &config{timeout: 10 * time.Minute}
	c.server.Connections = 100
	c.server.SearchPath = filepath.SplitList(os.Getenv("PATH"))
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// start starts a server that is closed with the test.
func start(t testing.TB, c *config, what string, fill func(context.Context, prove.Dir) error) *prove.Server {
	t.Helper()
	c.server.Warning = func(message string) { t.Logf("%s: %s", what, message) }
	ctx, cancel := context.WithTimeoutCause(t.Context(), c.timeout, fmt.Errorf("not finished within %s", c.timeout))
	defer cancel()
	s, err := prove.Start(ctx, c.server, fill)
	if err != nil {
		var ended *prove.EndedError
		if errors.As(err, &ended) {
			t.Logf("the server's log:\n%s", ended.Log)
		}
		t.Fatalf("%s: %v", what, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: the server's log:\n%s", what, s.LogTail())
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
	return s
}
