package provetest_test

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/provetest"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/replproto"
)

// here adds the options for this machine: where servers are, and as whom they run.
func here(t testing.TB, major int, options ...provetest.Option) []provetest.Option {
	t.Helper()
	in, err := pgtest.Installation(major)
	if err != nil {
		t.Fatal(err)
	}
	all := []provetest.Option{provetest.BinDir(in.BinDir), provetest.TempDir(pgtest.TempDir(t))}
	if os.Geteuid() == 0 {
		if _, err := user.Lookup("postgres"); err != nil {
			all = append(all, provetest.RunAs("nobody"))
		}
	}
	return append(all, options...)
}

// ask returns the text value of a query's one row.
func ask(t testing.TB, dsn, query string) string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var value string
	if err := conn.QueryRow(context.Background(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// orders makes a server with a table, in a tablespace of its own.
func orders(t *testing.T, major int) *pgtest.Server {
	s := pgtest.Start(t, major)
	s.CreateTablespace(t, "elsewhere")
	s.Exec(t, "create role app login")
	s.Exec(t, "create database shop owner app")
	shop := s.DSN() + " dbname=shop"
	conn, err := pgx.Connect(context.Background(), shop)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "create table orders (id int) tablespace elsewhere; insert into orders select generate_series(1, 10); grant all on orders to app", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestACloneIsAServerOfItsOwnThatGoesWithTheTest(t *testing.T) {
	for _, major := range []int{10, 18} {
		s := orders(t, major)
		var clone string
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			clone = provetest.Clone(t, s.DSN()+" dbname=shop", here(t, major, provetest.Setting("work_mem", "7MB"))...)
			if got := ask(t, clone, "with gone as (delete from orders returning 1) select count(*)::text from gone"); got != "10" {
				t.Errorf("the clone had %s orders", got)
			}
			if got := ask(t, clone, "select current_database() || ' ' || current_user || ' ' || current_setting('work_mem')"); got != "shop postgres 7MB" {
				t.Errorf("connected to %s", got)
			}
			if got := ask(t, strings.Replace(clone, "'postgres'", "'app'", 1), "select current_user::text"); got != "app" {
				t.Errorf("connected as %s", got)
			}
		})
		if got := ask(t, s.DSN()+" dbname=shop", "select count(*)::text from orders"); got != "10" {
			t.Errorf("the server has %s orders", got)
		}
		if conn, err := pgx.Connect(context.Background(), clone); err == nil {
			conn.Close(context.Background())
			t.Error("the clone is still there after its test")
		}
	}
}

func TestABackupIsRestoredToATarget(t *testing.T) {
	s := orders(t, 15)
	archive := s.TempDir(t)
	backup := filepath.Join(pgtest.TempDir(t), "backup")
	given, err := conninfo.Parse(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings}
	_, err = basebackup.Run(context.Background(), basebackup.Options{
		Connect:        func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) },
		FastCheckpoint: true,
	}, basebackup.TarDirectory(basebackup.TarOptions{Path: backup, Compression: codec.Spec{Algorithm: codec.Gzip}, Sync: durable.NoSync}))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"create table kept ()", "select pg_create_restore_point('here')", "create table dropped ()", "select pg_switch_wal()"} {
		s.Exec(t, sql)
	}
	if err := os.CopyFS(archive, os.DirFS(filepath.Join(s.DataDir(), "pg_wal"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o755); err != nil {
		t.Fatal(err)
	}
	dsn := provetest.Restore(t, backup, here(t, 15, provetest.Recovery(recoveryconf.Recovery{
		Target: recoveryconf.Target{Name: "here"}, RestoreCommand: "cp " + archive + "/%f %p",
	}))...)
	if got := ask(t, dsn, "select string_agg(relname, ' ') from pg_class where relname in ('kept', 'dropped')"); got != "kept" {
		t.Errorf("there are the tables %s", got)
	}
}

// failure is a test that may fail.
type failure struct {
	testing.TB
	message string
}

func (f *failure) Helper() {}

func (f *failure) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestWhatCannotBeRestoredFailsTheTestAndLeavesNothing(t *testing.T) {
	temp := pgtest.TempDir(t)
	f := &failure{TB: t}
	func() {
		defer func() { _ = recover() }()
		provetest.Restore(f, filepath.Join(temp, "none"), here(t, 15, provetest.TempDir(temp))...)
	}()
	if !strings.Contains(f.message, "could not open backup") {
		t.Errorf("the test fails with %q", f.message)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
