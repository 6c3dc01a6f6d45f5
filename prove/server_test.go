package prove_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/prove"
)

func TestAGoodBackupHolds(t *testing.T) {
	for _, major := range []int{10, 15, 18} {
		s := pgtest.Start(t, major)
		pgtest.Fill(t, s, 5<<20)
		s.CreateTablespace(t, "elsewhere")
		s.Exec(t, `create table moved (id int primary key, t text) tablespace elsewhere; insert into moved select i, repeat('x', 3000) from generate_series(1, 100) i`)
		s.Exec(t, "create database \"an \"\"odd'\\ name\"")
		o := options(t, major)
		o.Fill = fresh(t, s, nil)
		o.Checks = prove.Checks{Amcheck: true, Dump: true, Checksums: true, Statements: []prove.Statement{
			{Database: "postgres", SQL: "select count(*) = 100 from moved", Assert: true},
			{Database: "postgres", SQL: "create table one (); drop table one; select 1", Name: "file.sql"},
		}}
		r := run(t, o)
		failsOnly(t, r)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", text)
		for _, name := range []string{"recovery", "amcheck postgres", "dump template1", "assert postgres: select count(*) = 100 from moved"} {
			find(t, r, name)
		}
	}
}

func TestWhatADatabaseSetsForItsSessionsDoesNotFailAGoodBackup(t *testing.T) {
	for _, major := range []int{10, 18} {
		s := pgtest.Start(t, major)
		s.Exec(t, `create role limited; create schema own; create function own.set_config(text, text, bool) returns text language sql as 'select (1/0)::text'`)
		s.Exec(t, `alter role postgres set role = limited; alter role postgres set default_transaction_read_only = on;
			alter role postgres set statement_timeout = 1; alter role postgres set search_path = own;
			alter role postgres set session_preload_libraries = none`)
		o := options(t, major)
		o.Fill = fill(t, s)
		o.Checks = prove.Checks{Amcheck: true, Dump: true, Statements: []prove.Statement{
			{Database: "postgres", SQL: "select current_user = 'postgres' and current_setting('search_path') = 'own'", Assert: true},
		}}
		failsOnly(t, run(t, o))
	}
}

func TestTheNewestCommitIsFoundInTheBackupsOwnWAL(t *testing.T) {
	for _, major := range []int{10, 18} {
		s := pgtest.Start(t, major)
		load := pgtest.Load(t, s, 1)
		load.Wait(t, 1)
		began := time.Now()
		o := options(t, major)
		var ended time.Time
		o.Fill = func(ctx context.Context, d prove.Dir) error {
			defer load.Stop()
			err := fresh(t, s, nil)(ctx, d)
			ended = time.Now()
			return err
		}
		r := run(t, o)
		failsOnly(t, r)
		// The clocks are the same machine's.
		if last := r.Recovery.LastCommit; last.Before(began) || last.After(ended) || !last.Equal(r.Recovery.Newest) {
			t.Errorf("%d: last commit at %s, newest data of %s, the backup began at %s and ended at %s", major, last, r.Recovery.Newest, began, ended)
		}
	}
}
