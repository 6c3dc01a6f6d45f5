package prove_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

// start starts a throwaway server that is closed with the test.
func start(t testing.TB, o prove.ServerOptions, fill func(context.Context, prove.Dir) error) *prove.Server {
	t.Helper()
	s, err := prove.Start(context.Background(), o, fill)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, o.TempDir)
	})
	return s
}

// ask returns the text value of a query's one row.
func ask(t testing.TB, s *prove.Server, query string) string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.DSN("", ""))
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

func TestNothingOfTheClustersConfigurationReachesOut(t *testing.T) {
	for _, major := range []int{10, 18} {
		s := pgtest.Start(t, major)
		outside := pgtest.TempDir(t)
		if err := os.Chmod(outside, 0o777); err != nil {
			t.Fatal(err)
		}
		hostile := recoveryconf.Params{
			{Name: "listen_addresses", Value: "*"},
			{Name: "port", Value: fmt.Sprint(s.Port())},
			{Name: "data_directory", Value: s.DataDir()},
			{Name: "hba_file", Value: filepath.Join(s.DataDir(), "pg_hba.conf")},
			{Name: "unix_socket_directories", Value: outside},
			{Name: "external_pid_file", Value: filepath.Join(outside, "pid")},
			{Name: "archive_mode", Value: "always"},
			{Name: "archive_command", Value: "cp %p " + outside + "/%f"},
			{Name: "logging_collector", Value: "on"},
			{Name: "log_directory", Value: outside},
			{Name: "ssl", Value: "on"},
			{Name: "shared_preload_libraries", Value: "no_such_library, \"amcheck\""},
			{Name: "max_connections", Value: "100000"},
			{Name: "shared_buffers", Value: "4TB"},
			{Name: "synchronous_standby_names", Value: "nobody"},
			{Name: "default_transaction_read_only", Value: "on"},
			{Name: "statement_timeout", Value: "1"},
			{Name: "no_such_setting", Value: "1"},
			{Name: "TimeZone", Value: "Asia/Seoul"},
			{Name: "app.tenant", Value: "it's 7"},
		}
		o := options(t, major).Server
		var warnings []string
		o.Warning = func(message string) { warnings = append(warnings, message) }
		o.Settings = recoveryconf.Params{{Name: "work_mem", Value: "5MB"}}
		clone := start(t, o, fresh(t, s, func(data string) {
			write(t, filepath.Join(data, "postgresql.conf"), string(hostile.Render()))
			write(t, filepath.Join(data, "postgresql.auto.conf"), string(hostile.Render()))
		}))
		for name, want := range map[string]string{
			"listen_addresses": "", "archive_mode": "off", "archive_command": "(disabled)", "logging_collector": "off", "ssl": "off",
			"shared_preload_libraries": `"amcheck"`, "statement_timeout": "0", "synchronous_standby_names": "", "max_worker_processes": "0",
			"TimeZone": "Asia/Seoul", "app.tenant": "it's 7", "work_mem": "5MB", "data_directory": filepath.Join(clone.Scratch(), "data"),
			"hba_file": filepath.Join(clone.Scratch(), "etc", "pg_hba.conf"),
		} {
			if got := ask(t, clone, "show "+name); got != want {
				t.Errorf("%d: %s is %q, want %q", major, name, got, want)
			}
		}
		want := `library "no_such_library" of the cluster's shared_preload_libraries is not installed here and left out`
		if len(warnings) != 1 || warnings[0] != want {
			t.Errorf("warnings %q, want %q", warnings, want)
		}
		left, err := os.ReadDir(outside)
		if err != nil || len(left) > 0 {
			t.Errorf("outside there are %v, %v", left, err)
		}
		info, err := os.Stat(clone.Scratch())
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the scratch directory has mode %v, %v", info.Mode(), err)
		}
	}
}

func TestADirectoryWithoutConfigurationStarts(t *testing.T) {
	s := pgtest.Start(t, 15)
	clone := start(t, options(t, 15).Server, fresh(t, s, func(data string) {
		for _, name := range []string{"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"} {
			if err := os.Remove(filepath.Join(data, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}))
	if got := ask(t, clone, "select 'up'"); got != "up" {
		t.Error(got)
	}
}

func TestSubscriptionsAndSlotsStayStill(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.Setting("wal_level", "logical"))
	s.Exec(t, "create table t (); create publication p for table t")
	s.Exec(t, "create subscription s connection '"+s.DSN()+"' publication p with (create_slot = false, enabled = true, slot_name = 'elsewhere')")
	slot := filepath.Join("pg_replslot", "left")
	clone := start(t, options(t, 15).Server, fresh(t, s, func(data string) {
		// As a copy by hand has it; restores leave it out.
		s.Exec(t, "select pg_create_logical_replication_slot('left', 'pgoutput')")
		state, err := os.ReadFile(filepath.Join(s.DataDir(), slot, "state"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(data, slot), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(data, slot, "state"), string(state))
	}))
	if got := ask(t, clone, "select count(*)::text from pg_stat_activity where backend_type like 'logical%'"); got != "0" {
		t.Errorf("%s workers of replication run", got)
	}
	if got := ask(t, clone, "select count(*)::text from pg_replication_slots"); got != "0" {
		t.Errorf("there are %s slots", got)
	}
}

func TestASuperuserOfAnotherNameIsFound(t *testing.T) {
	for _, major := range []int{10, 15} {
		s := pgtest.Start(t, major)
		s.Exec(t, "create role \"the owner\" superuser login")
		conn, err := pgx.Connect(context.Background(), s.DSN()+" user='the owner'")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(context.Background(), "alter role postgres rename to someone; alter role someone nologin", pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		conn.Close(context.Background())
		clone := start(t, options(t, major).Server, fill(t, s))
		if got := ask(t, clone, "select current_user::text"); got != "the owner" {
			t.Errorf("%d: logged in as %q", major, got)
		}
	}
}

// fill copies a stopped server's data directory, for what cannot connect to it
// any more.
func fill(t testing.TB, s *pgtest.Server) func(context.Context, prove.Dir) error {
	return func(_ context.Context, d prove.Dir) error {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		return copyTree(d.Data(), s.DataDir())
	}
}

// copyTree copies a data directory; os.CopyFS does not keep its mode.
func copyTree(to, from string) error {
	return errors.Join(os.CopyFS(to, os.DirFS(from)), os.Chmod(to, 0o700))
}

func TestSettingsThatBreakTheIsolationAreRefused(t *testing.T) {
	for _, name := range []string{"port", "Listen_Addresses", "archive_command", "hot_standby", "include_dir"} {
		o := prove.ServerOptions{Settings: recoveryconf.Params{{Name: name, Value: "1"}}}
		_, err := prove.Start(context.Background(), o, nil)
		var refused *prove.IsolationError
		if !errors.As(err, &refused) || refused.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAScratchDirectoryWithALongNameHasItsSocketElsewhere(t *testing.T) {
	s := pgtest.Start(t, 15)
	o := options(t, 15).Server
	o.TempDir = filepath.Join(o.TempDir, strings.Repeat("long-", 20))
	if err := errors.Join(os.Mkdir(o.TempDir, 0o755), os.Chmod(o.TempDir, 0o755)); err != nil {
		t.Fatal(err)
	}
	clone := start(t, o, fresh(t, s, nil))
	dir := ask(t, clone, "show unix_socket_directories")
	if strings.Contains(dir, "long-") {
		t.Errorf("the socket is in %q", dir)
	}
	if err := clone.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(strings.Trim(dir, `"`)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket's directory is left: %v", err)
	}
}

// proverVariable makes this test's program a prover that is going to be killed:
// it is the DSN of the server to clone.
const proverVariable = "PROVE_TEST_DSN"

func TestAKilledProverLeavesNoServerBehind(t *testing.T) {
	if dsn := os.Getenv(proverVariable); dsn != "" {
		proverToKill(t)
		return
	}
	s := pgtest.Start(t, 15)
	temp := pgtest.TempDir(t)
	backup := filepath.Join(pgtest.TempDir(t), "backup")
	backUp(t, s, backup)
	cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledProverLeavesNoServerBehind$")
	cmd.Env = append(os.Environ(), proverVariable+"="+backup, "PROVE_TEST_TEMP="+temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "started" {
	}
	servers := processesIn(t, temp)
	if len(servers) < 4 {
		t.Errorf("the server has processes %v", servers)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(20 * time.Second); len(processesIn(t, temp)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes %v are left", processesIn(t, temp))
		}
	}
}

// proverToKill starts a server and waits for its end.
func proverToKill(t *testing.T) {
	o := options(t, 15).Server
	o.TempDir = os.Getenv("PROVE_TEST_TEMP")
	_, err := prove.Start(context.Background(), o, func(_ context.Context, d prove.Dir) error {
		return copyTree(d.Data(), os.Getenv(proverVariable))
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("started")
	select {}
}
