package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// newServer starts a PostgreSQL 15 with users who may and may not take backups.
func newServer(t *testing.T) *pgtest.Server {
	t.Helper()
	s := pgtest.Start(t, 15, pgtest.HBA(
		"host replication repl 127.0.0.1/32 scram-sha-256",
		"host replication rejected 127.0.0.1/32 reject",
	))
	s.Exec(t, "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'secret'")
	s.Exec(t, "CREATE ROLE unprivileged LOGIN")
	return s
}

// environment leads to the server, as the superuser.
func environment(s *pgtest.Server, home string) map[string]string {
	return map[string]string{
		"PGHOST": s.SocketDir(), "PGPORT": strconv.Itoa(s.Port()), "PGUSER": "postgres",
		"HOME": home, "LC_ALL": "C", "TZ": "UTC",
	}
}

func TestServerScripts(t *testing.T) {
	s := newServer(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/server", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			for k, v := range environment(s, e.WorkDir) {
				e.Setenv(k, v)
			}
			e.Setenv("PGBIN", filepath.Dir(oracle))
			return nil
		},
	})
}

func TestServersRefusalsReadLikeThoseOfPgBasebackup(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	file := filepath.Join(dir, "file")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment(s, dir)
	for _, line := range []string{
		"-D DIR/full",
		"-D DIR/full -Ft",
		"-D DIR/file",
		"-D DIR/b --waldir=DIR/full",
		"-D DIR/b -h 127.0.0.1 -U repl -w",
		"-D DIR/b -d password=wrong -h 127.0.0.1 -U repl -w",
		"-D DIR/b -h 127.0.0.1 -U rejected",
		"-D DIR/b -h 127.0.0.1 -U unprivileged",
		"-D DIR/b -h 127.0.0.1 -U nobody",
		"-D DIR/b -d sslmode=require -h 127.0.0.1",
		"-D DIR/b -h 127.0.0.1 -p 1",
		"-D DIR/b -d target_session_attrs=standby",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "DIR", dir))
		want := runOracle(t, env, args...)
		got := runIn(env, "", append([]string{oracle}, args...)...)
		if !bytes.HasPrefix([]byte(got.stderr), []byte(firstMessage(want.stderr))) || got.status != want.status || want.status != 1 {
			t.Errorf("%s: %+v\nwant\n%+v", line, got, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "b")); err == nil {
			t.Fatalf("%s left something", line)
		}
	}
}

// firstMessage is the error, with the lines that belong to it.
func firstMessage(stderr string) string {
	lines := strings.SplitAfter(stderr, "\n")
	for i, line := range lines[1:] {
		if strings.HasPrefix(line, "pg_basebackup: ") {
			return strings.Join(lines[:i+1], "")
		}
	}
	return stderr
}

func TestServersThatPgBasebackupCannotServe(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.Setting("max_wal_senders", "1"))
	env := environment(s, t.TempDir())
	dir := filepath.Join(t.TempDir(), "b")
	got := runIn(env, "", "pg_basebackup", "-D", dir, "-c", "fast")
	want := fmt.Sprintf("pg_basebackup: error: connection to server on socket \"%s/.s.PGSQL.%d\" failed: "+
		"FATAL:  number of requested standby connections exceeds max_wal_senders (currently 1)\n"+
		"pg_basebackup: hint: Raise max_wal_senders on the server. -X stream, the default, takes two of them, -X fetch one.\n"+
		"pg_basebackup: removing data directory \"%s\"\n", s.SocketDir(), s.Port(), dir)
	if got != (output{"", want, 1}) {
		t.Errorf("%+v, want %s", got, want)
	}
}
