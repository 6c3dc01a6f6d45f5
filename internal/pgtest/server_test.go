package pgtest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestServerStartsAnswersAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, major := range []int{10, 15, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s, err := Launch(t.Context(), Config{Major: major, Settings: map[string]string{"search_path": `a'b, "c\d"`}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.VersionNum()/10000 != major {
				t.Errorf("asked for %d, got %d", major, s.VersionNum())
			}
			if got := s.QueryString(t, "show search_path"); got != `a'b, "c\d"` {
				t.Errorf("setting arrived as %s", got)
			}
			for _, dsn := range []string{s.DSN(), s.TCPDSN()} {
				conn, err := pgconn.Connect(t.Context(), dsn+" replication=yes")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil {
					t.Error(err)
				}
				conn.Close(t.Context())
			}
			pid, dir, family := s.PID(), s.SocketDir(), children(s.PID())
			if len(family) == 0 {
				t.Error("the server has no children")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, id := range append(family, pid) {
				if !ended(id) {
					t.Errorf("process %d still runs", id)
				}
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there: %v", dir, err)
			}
		})
	}
}

func TestEnvironmentDoesNotReachTheServerOrItsMethods(t *testing.T) {
	for name, value := range map[string]string{"PGPORT": "1", "PGHOST": "/nowhere", "PGSERVICE": "none", "PGSSLMODE": "verify-full", "PGOPTIONS": "-c work_mem=1GB", "LC_ALL": "de_DE"} {
		t.Setenv(name, value)
	}
	s := Start(t, 18)
	if got := s.QueryString(t, "show work_mem"); got != "4MB" {
		t.Errorf("work_mem = %s", got)
	}
}

func TestInitdbOptions(t *testing.T) {
	t.Parallel()
	s := Start(t, 15, WALSegSize(1), Checksums(true), GroupAccess())
	for setting, want := range map[string]string{"wal_segment_size": "1MB", "data_checksums": "on", "data_directory_mode": "0750"} {
		if got := s.QueryString(t, "select current_setting($1)", setting); got != want {
			t.Errorf("%s = %s, want %s", setting, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(s.DataDir(), "postgresql.conf")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("postgresql.conf: %v, %v", info.Mode(), err)
	}
	if got := Start(t, 18, Checksums(false)).QueryString(t, "show data_checksums"); got != "off" {
		t.Errorf("data_checksums = %s", got)
	}
	for _, opt := range []Option{WALSegSize(1), GroupAccess()} {
		cfg := Config{Major: 10}
		opt(&cfg)
		if s, err := Launch(t.Context(), cfg); err == nil {
			s.Close()
			t.Error("PostgreSQL 10 accepted an option of 11")
		}
	}
}

func TestFreshInitdbHasItsOwnSystemIdentifier(t *testing.T) {
	t.Parallel()
	id := func(opts ...Option) string {
		return Start(t, 15, opts...).QueryString(t, "select system_identifier::text from pg_control_system()")
	}
	if common, own := id(), id(FreshInitdb()); common == own {
		t.Errorf("a fresh server has the template's system identifier %s", own)
	}
}

func TestKilledServerRecovers(t *testing.T) {
	t.Parallel()
	s := Start(t, 15)
	load := Load(t, s, 2)
	load.Wait(t, 200)
	port := s.Port()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if s.PID() != 0 {
		t.Error("a killed server has a process id")
	}
	commits, err := load.Stop()
	if err == nil {
		t.Error("the load did not notice that the server was killed")
	}
	s.Restart(t)
	if s.Port() != port {
		t.Errorf("port %d became %d", port, s.Port())
	}
	if n := CheckBalances(t, s); n < commits {
		t.Errorf("%d transactions after the crash, %d were committed", n, commits)
	}
}

func TestServerWithoutHotStandbyCountsAsStarted(t *testing.T) {
	t.Parallel()
	primary := Start(t, 15)
	standby := StartStandby(t, primary)
	if err := standby.Stop(); err != nil {
		t.Fatal(err)
	}
	cold := StartDir(t, 15, standby.DataDir(), Setting("hot_standby", "off"))
	if cold.PID() == 0 || cold.VersionNum() != 0 {
		t.Errorf("process %d, version %d", cold.PID(), cold.VersionNum())
	}
}

func TestStandbyFollowsAndIsPromoted(t *testing.T) {
	t.Parallel()
	for _, major := range []int{10, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			primary := Start(t, major, Setting("max_connections", "70"))
			primary.CreateTablespace(t, "space")
			load := Load(t, primary, 2, "space")
			load.Wait(t, 50)
			standby := StartStandby(t, primary)
			load.Wait(t, 50)
			commits, err := load.Stop()
			if err != nil {
				t.Fatal(err)
			}
			standby.CatchUp(t, primary)
			if n := CheckBalances(t, standby); n != commits {
				t.Errorf("the standby has %d transactions, want %d", n, commits)
			}
			if n := Query[int](t, primary, "select count(*) from pg_replication_slots"); n != 0 {
				t.Errorf("%d slots left on the primary", n)
			}
			standby.Promote(t)
			standby.Exec(t, "create table t (i int); insert into t values (1)")
		})
	}
}

func TestStartDirRunsACopyInATestsOwnDirectory(t *testing.T) {
	t.Parallel()
	s := Start(t, 15)
	Fill(t, s, 4<<20)
	location := s.CreateTablespace(t, "odd name")
	load := Load(t, s, 2, "odd name")
	load.Wait(t, 100)
	if commits, err := load.Stop(); err != nil || commits < 100 {
		t.Fatalf("%d commits, %v", commits, err)
	}
	want := Sums(t, s)
	if len(want) != fillSmall+2 {
		t.Errorf("%d tables have sums, want %d", len(want), fillSmall+2)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	self := owner{uid: os.Geteuid(), gid: os.Getegid()}
	if err := copyTree(s.DataDir(), dir, self, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Launch(t.Context(), Config{Major: 15, DataDir: dir}); err == nil || !strings.Contains(err.Error(), "tablespace of another server") {
		t.Errorf("a data directory with another server's tablespace was started: %v", err)
	}
	space := filepath.Join(TempDir(t), "space")
	if err := copyTree(location, space, self, nil); err != nil {
		t.Fatal(err)
	}
	links, err := filepath.Glob(filepath.Join(dir, "pg_tblspc", "*"))
	if err != nil || len(links) != 1 {
		t.Fatalf("%q, %v", links, err)
	}
	if err := errors.Join(os.Remove(links[0]), os.Symlink(space, links[0])); err != nil {
		t.Fatal(err)
	}
	restored := StartDir(t, 15, dir, Setting("work_mem", "5MB"))
	SameSums(t, Sums(t, restored), want)
	CheckBalances(t, restored)
	if got := restored.QueryString(t, "show work_mem"); got != "5MB" {
		t.Errorf("work_mem = %s", got)
	}
	if err := restored.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		t.Errorf("the data directory did not stay: %v", err)
	}
}

func TestStartDirReportsWhyTheServerDoesNotStart(t *testing.T) {
	t.Parallel()
	s := Start(t, 18)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := appendFile(filepath.Join(s.DataDir(), "postgresql.conf"), "no_such_setting = 1\n"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err := Launch(t.Context(), Config{Major: 18, DataDir: s.DataDir()})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("noticed after %s", took)
	}
	for name, dir := range map[string]string{"is not a data directory": t.TempDir(), "data directory of PostgreSQL 18, not 15": s.DataDir()} {
		if _, err := Launch(t.Context(), Config{Major: 15, DataDir: dir}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error is %v, want %q", err, name)
		}
	}
}

func TestLoadNeedsNoTablespaceAndGoesOn(t *testing.T) {
	t.Parallel()
	s := Start(t, 18)
	var total int64
	for range 2 {
		load, err := s.StartLoad(t.Context(), LoadConfig{Clients: 3, Rate: 2000})
		if err != nil {
			t.Fatal(err)
		}
		load.Wait(t, 30)
		commits, err := load.Stop()
		if err != nil {
			t.Fatal(err)
		}
		total += commits
	}
	s.CreateTablespace(t, "space")
	load := Load(t, s, 1, "space")
	load.Wait(t, 10)
	commits, err := load.Stop()
	if err != nil {
		t.Fatal(err)
	}
	total += commits
	if n := CheckBalances(t, s); n != total {
		t.Errorf("%d transactions, %d were counted", n, total)
	}
	s.Exec(t, "update load.accounts set abalance = abalance + 1 where aid = 77")
	if _, err := s.VerifyBalances(t.Context()); err == nil {
		t.Error("a wrong balance was not noticed")
	}
}

func TestFillComesNearTheSizeAskedFor(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	for _, major := range []int{10, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := Start(t, major)
			before := Query[int64](t, s, "select pg_database_size('postgres')")
			Fill(t, s, size)
			if got := Query[int64](t, s, "select pg_database_size('postgres')") - before; got < size*9/10 || got > size*12/10 {
				t.Errorf("asked for %d bytes, got %d", size, got)
			}
		})
	}
}

func TestSumsTellTablesThatDiffer(t *testing.T) {
	t.Parallel()
	s := Start(t, 15)
	s.Exec(t, "create table a as select i, md5(i::text) v from generate_series(1, 100) i; create table b as table a; create unlogged table u (i int)")
	before := Sums(t, s)
	if len(before) != 2 || before["public.a"] != before["public.b"] {
		t.Errorf("sums are %v", before)
	}
	s.Exec(t, "update b set v = v where i = 3") // moves the row
	SameSums(t, Sums(t, s, "public"), before)
	s.Exec(t, "update b set v = v || '.' where i = 3")
	after := Sums(t, s)
	if after["public.a"] != before["public.a"] || after["public.b"] == before["public.b"] {
		t.Errorf("sums were %v and are %v", before, after)
	}
}

func TestTLSAndSCRAM(t *testing.T) {
	t.Parallel()
	for _, major := range []int{10, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := Start(t, major, TLS(TLSConfig{User: "backup", RequireCert: true}), Setting("password_encryption", "scram-sha-256"),
				HBA("hostssl all secret 127.0.0.1/32 scram-sha-256", "hostssl replication secret 127.0.0.1/32 scram-sha-256"))
			s.ReplicationUser(t, "backup", "")
			s.ReplicationUser(t, "secret", "it's")
			c := s.Certificates()
			host := "host=localhost port=" + strconv.Itoa(s.Port()) + " dbname=postgres replication=yes "
			full := "sslmode=verify-full sslrootcert=" + c.Root + " "
			for _, test := range []struct {
				name, dsn string
				ok        bool
			}{
				{"client certificate", host + full + "user=backup sslcert=" + c.ClientCert + " sslkey=" + c.ClientKey, true},
				{"no client certificate", host + full + "user=backup", false},
				{"no TLS", host + "sslmode=disable user=backup", false},
				{"other root", host + "sslmode=verify-full sslrootcert=" + c.OtherRoot + " user=secret password='it\\'s'", false},
				{"password", host + full + "user=secret password='it\\'s'", true},
				{"wrong password", host + full + "user=secret password=its", false},
			} {
				conn, err := pgx.Connect(t.Context(), test.dsn)
				if (err == nil) != test.ok {
					t.Errorf("%s: error is %v", test.name, err)
				}
				if err == nil {
					conn.Close(t.Context())
				}
			}
			if got := s.QueryString(t, "select left(rolpassword, 13) from pg_authid where rolname = 'secret'"); got != "SCRAM-SHA-256" {
				t.Errorf("password is stored as %s", got)
			}
		})
	}
}

// TestMain lets the test binary be the process that TestServerEndsWithItsProcess kills.
func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_VICTIM") == "" {
		os.Exit(m.Run())
	}
	s, err := Launch(context.Background(), Config{Major: 15})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(s.PID()) + " " + s.SocketDir() + "\n")
	select {}
}

func TestServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	victim, pid, dir := startVictim(t)
	family := append(children(pid), pid)
	if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	deadline := time.Now().Add(patience)
	for _, id := range family {
		for !ended(id) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d still runs", id)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	lockFile := filepath.Join(dir, "lock")
	sweep(filepath.Dir(dir))
	if _, err := os.Stat(lockFile); err != nil {
		t.Errorf("a young directory was swept: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lockFile, old, old); err != nil {
		t.Fatal(err)
	}
	sweep(filepath.Dir(dir))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s was not swept: %v", dir, err)
	}
}

func TestSweepLeavesDirectoriesInUse(t *testing.T) {
	t.Parallel()
	o, err := serverOwner()
	if err != nil {
		t.Fatal(err)
	}
	dir, lock, err := newServerDir(o)
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "lock"), old, old); err != nil {
		t.Fatal(err)
	}
	sweep(filepath.Dir(dir))
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	sweep(filepath.Dir(dir))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s was not swept: %v", dir, err)
	}
}
