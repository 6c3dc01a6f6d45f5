package prove_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

// write writes a file of a data directory.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrongWithTheDataIsFoundByItsCheck(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.Checksums(true))
	s.Exec(t, `create table indexed (id int); create index disagreeing on indexed (id);
		insert into indexed select generate_series(1, 100);
		update pg_index set indisready = false where indexrelid = 'disagreeing'::regclass`)
	s.Exec(t, `insert into indexed values (1000)`)
	s.Exec(t, `update pg_index set indisready = true where indexrelid = 'disagreeing'::regclass;
		create table flipped as select i, 'text ' || i from generate_series(1, 2000) i; checkpoint`)
	file := s.QueryString(t, "select pg_relation_filepath('flipped')")

	o := options(t, 15)
	o.Fill = fresh(t, s, func(data string) { flip(t, filepath.Join(data, file), 8192+5000) })
	o.Checks = prove.Checks{Amcheck: true, Dump: true, Statements: []prove.Statement{
		{Database: "postgres", SQL: "select true", Assert: true},
		{Database: "postgres", SQL: "select 1 = 2", Assert: true},
		{Database: "postgres", SQL: "select null::bool", Assert: true},
		{Database: "postgres", SQL: "select 'yes'", Assert: true},
		{Database: "postgres", SQL: "select from flipped where false", Assert: true},
		{Database: "postgres", SQL: "select true from generate_series(1, 2)", Assert: true},
		{Database: "postgres", SQL: "set a.b = 'c'", Assert: true},
		{Database: "postgres", SQL: "select true; select false", Assert: true},
		{Database: "no such", SQL: "select true", Assert: true},
		{Database: "template1", SQL: "select 1;\nselect * from nothing;", Name: "bad.sql"},
	}}
	r := run(t, o)
	failsOnly(t, r, "amcheck postgres", "dump postgres",
		"assert postgres: select 1 = 2", "assert postgres: select null::bool", "assert postgres: select 'yes'",
		"assert postgres: select from flipped where false", "assert postgres: select true from generate_series(1, 2)",
		"assert postgres: set a.b = 'c'", "assert postgres: select true; select false", "assert no such: select true", "sql template1: bad.sql")
	for name, want := range map[string]string{
		"amcheck postgres":                   "index public.disagreeing: heap tuple (0,101) from table \"indexed\" lacks matching index tuple",
		"dump postgres":                      "table public.flipped: invalid page in block 1 of relation " + file,
		"assert postgres: select null::bool": "the assertion returned NULL, not true",
		"assert postgres: select true from generate_series(1, 2)": "the assertion returned 2 rows, not one",
		"assert postgres: select 'yes'":                           `the assertion returned "yes", which is not a boolean`,
		"assert postgres: select from flipped where false":        "the assertion returned no result",
		"assert no such: select true":                             `could not connect: database "no such" does not exist`,
		"sql template1: bad.sql":                                  `relation "nothing" does not exist`,
	} {
		if got := strings.Join(find(t, r, name).Problems, "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q lacks %q", name, got, want)
		}
	}
}

// flip changes one bit of a file.
func flip(t testing.TB, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
}

func TestATargetThatIsNotReachedIsACaseOfItsOwn(t *testing.T) {
	for _, major := range []int{10, 15} {
		s := pgtest.Start(t, major)
		for _, reached := range []bool{true, false} {
			o := options(t, major)
			o.Fill = fresh(t, s, func(data string) {
				// Written after the backup, so that there is something to stop at.
				s.Exec(t, fmt.Sprintf("create table later_%v (); select pg_switch_wal()", reached))
				target := recoveryconf.Params{{Name: "restore_command", Value: "cp " + filepath.Join(s.DataDir(), "pg_wal") + "/%f %p"}}
				if reached {
					target = append(target, recoveryconf.Param{Name: "recovery_target", Value: "immediate"})
				} else {
					target = append(target, recoveryconf.Param{Name: "recovery_target_name", Value: "never"})
				}
				target = append(target, recoveryconf.Param{Name: "recovery_target_action", Value: "promote"})
				if major < 12 {
					write(t, filepath.Join(data, "recovery.conf"), string(target.Render()))
				} else {
					write(t, filepath.Join(data, "postgresql.auto.conf"), string(target.Render()))
					write(t, filepath.Join(data, "recovery.signal"), "")
				}
			})
			o.Restore.Recovery.Name = "never"
			if reached {
				o.Restore.Recovery.Target = recoveryconf.Target{Immediate: true}
			}
			o.Checks.Dump = true
			r := run(t, o)
			t.Logf("%d: %+v", major, r.Recovery)
			if reached {
				failsOnly(t, r)
				if r.Recovery.Timeline != 2 || r.Recovery.Stopped != "recovery stopping after reaching consistency" {
					t.Errorf("%+v", r.Recovery)
				}
				continue
			}
			failsOnly(t, r, "target: name never")
			if r.Recovery.Consistent == 0 || r.Recovery.LastCommit.IsZero() {
				t.Errorf("%+v", r.Recovery)
			}
			// From 13 on there is no server left to be checked.
			name, status := "dump postgres", prove.Passed
			if major >= 13 {
				name, status = "dump", prove.Skipped
			}
			if c := find(t, r, name); c.Status != status {
				t.Errorf("%s: %s", c.Name(), c.Status)
			}
		}
	}
}

func TestAServerThatDoesNotStartIsSeenThroughItsLog(t *testing.T) {
	s := pgtest.Start(t, 15)
	o := options(t, 15)
	o.Fill = fresh(t, s, func(data string) {
		segments, err := filepath.Glob(filepath.Join(data, "pg_wal", "0*"))
		if err != nil || len(segments) == 0 {
			t.Fatal(segments, err)
		}
		for _, path := range segments {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	})
	o.Checks.Amcheck = true
	r := run(t, o)
	failsOnly(t, r, "recovery")
	if c := find(t, r, "recovery"); !strings.Contains(c.Message(), "could not locate required checkpoint record") {
		t.Errorf("the message is %q", c.Message())
	}
	if !strings.Contains(r.Log, "FATAL:  could not locate required checkpoint record") {
		t.Errorf("the log is %q", r.Log)
	}
	if c := find(t, r, "amcheck"); c.Status != prove.Skipped {
		t.Errorf("amcheck: %s", c.Status)
	}
}

// fakeServer makes a directory with a program that answers -V as a server of a
// version does, and otherwise runs a shell script.
func fakeServer(t testing.TB, version, script string) string {
	t.Helper()
	dir := pgtest.TempDir(t)
	text := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = -V ]; then echo 'postgres (PostgreSQL) %s'; exit 0; fi\n%s\n", version, script)
	if err := os.WriteFile(filepath.Join(dir, "postgres"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAServerThatHangsIsGivenUpAndGone(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, 15)
	for name, script := range map[string]string{"simple": "sleep 1000", "stubborn": "trap '' QUIT INT TERM; sleep 1000 & sleep 1000; wait"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			o := options(t, 15)
			o.Server.BinDir = fakeServer(t, "15.99", script)
			o.Fill = fresh(t, s, nil)
			o.Timeout = 6 * time.Second
			r := run(t, o)
			failsOnly(t, r, "recovery")
			if c := find(t, r, "recovery"); c.Message() != "the server has not finished its recovery: not finished within 6s" {
				t.Errorf("the message is %q", c.Message())
			}
		})
	}
}

func TestARestoreCommandThatHangsIsGivenUpAndGone(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, 15)
	o := options(t, 15)
	o.Fill = fresh(t, s, func(data string) {
		write(t, filepath.Join(data, "postgresql.auto.conf"), "restore_command = 'sleep 1000'\n")
		write(t, filepath.Join(data, "recovery.signal"), "")
	})
	o.Timeout = 6 * time.Second
	failsOnly(t, run(t, o), "recovery")
}

func TestAServerOfAnotherMajorVersionIsRefused(t *testing.T) {
	s := pgtest.Start(t, 15)
	other, err := pgtest.Installation(18)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, 15)
	o.Server.BinDir = other.BinDir
	o.Fill = fresh(t, s, nil)
	r := run(t, o)
	failsOnly(t, r, "server")
	want := fmt.Sprintf(`server "%s/postgres" is PostgreSQL %s, but the backup is of PostgreSQL 15`, other.BinDir, other.Version)
	if c := find(t, r, "server"); c.Message() != want {
		t.Errorf("got %q, want %q", c.Message(), want)
	}
	if c := find(t, r, "recovery"); c.Status != prove.Skipped {
		t.Errorf("recovery: %s", c.Status)
	}
}

func TestTheEndOfTheContextEndsTheProof(t *testing.T) {
	s := pgtest.Start(t, 15)
	o := options(t, 15)
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := fmt.Errorf("the user said so")
	o.Fill = fresh(t, s, nil)
	o.Checks.Statements = []prove.Statement{
		{Database: "postgres", SQL: "select pg_sleep(1000)"},
		{Database: "postgres", SQL: "select true", Assert: true},
	}
	o.Case = func(c *prove.Case) {
		if c.Check == prove.CheckRecovery {
			time.AfterFunc(200*time.Millisecond, func() { cancel(cause) })
		}
	}
	r, err := prove.Run(ctx, o)
	if err != cause && (err == nil || err.Error() != cause.Error()) {
		t.Errorf("the error is %v", err)
	}
	failsOnly(t, r, "sql postgres: select pg_sleep(1000)", "assert postgres: select true")
	for _, c := range r.Cases[4:] {
		if c.Message() != cause.Error() {
			t.Errorf("%s: %s", c.Name(), c.Message())
		}
	}
	nothingLeft(t, o.Server.TempDir)
}
