package prove_test

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/restore"
)

// serverUser is who servers run as: PostgreSQL does not run as root.
func serverUser(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return ""
	}
	for _, name := range []string{"postgres", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	t.Fatal("there is neither a user \"postgres\" nor \"nobody\" to run a server as")
	return ""
}

// backUp takes a plain backup into a directory.
func backUp(t testing.TB, s *pgtest.Server, path string, tablespaces ...basebackup.TablespaceMapping) {
	t.Helper()
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
	}, basebackup.Plain(basebackup.PlainOptions{Path: path, Tablespaces: tablespaces, Sync: durable.NoSync}))
	if err != nil {
		t.Fatal(err)
	}
}

// fresh fills the scratch directory with a backup of a running server, and then
// changes it.
func fresh(t testing.TB, s *pgtest.Server, change func(data string)) func(context.Context, prove.Dir) error {
	return func(_ context.Context, d prove.Dir) error {
		var mappings []basebackup.TablespaceMapping
		for i, location := range strings.Fields(s.QueryString(t, "select coalesce(string_agg(pg_tablespace_location(oid), ' '), '') from pg_tablespace where oid > 16000")) {
			mappings = append(mappings, basebackup.TablespaceMapping{Old: location, New: d.Tablespace(uint32(i + 1))})
		}
		backUp(t, s, d.Data(), mappings...)
		if change != nil {
			change(d.Data())
		}
		return nil
	}
}

// options are those for a server of a major version.
func options(t testing.TB, major int) prove.Options {
	t.Helper()
	in, err := pgtest.Installation(major)
	if err != nil {
		t.Fatal(err)
	}
	return prove.Options{
		Restore: restore.Options{Backup: "a backup"},
		Server:  prove.ServerOptions{BinDir: in.BinDir, User: serverUser(t), TempDir: pgtest.TempDir(t)},
		Timeout: 2 * time.Minute,
	}
}

// run proves, and checks that nothing is left of it.
func run(t testing.TB, o prove.Options) *prove.Report {
	t.Helper()
	report, err := prove.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, o.Server.TempDir)
	return report
}

// nothingLeft fails the test when a directory for scratch directories is not
// empty, or a process works in it.
func nothingLeft(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s is left", entry.Name())
	}
	for _, pid := range processesIn(t, dir) {
		t.Errorf("process %d still runs", pid)
	}
}

// processesIn lists the processes whose working directory is in dir.
func processesIn(t testing.TB, dir string) []int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

// the case with a name; the test fails without it.
func find(t testing.TB, r *prove.Report, name string) *prove.Case {
	t.Helper()
	var names []string
	for _, c := range r.Cases {
		if c.Name() == name {
			return c
		}
		names = append(names, c.Name())
	}
	t.Fatalf("there is no case %q in %q", name, names)
	return nil
}

// failsOnly fails the test unless the named cases failed and no other.
func failsOnly(t testing.TB, r *prove.Report, names ...string) {
	t.Helper()
	for _, name := range names {
		if c := find(t, r, name); c.Status != prove.Failed {
			t.Errorf("%s: %s %s", name, c.Status, c.Summary)
		}
	}
	for _, c := range r.Cases {
		expected := false
		for _, name := range names {
			expected = expected || c.Name() == name
		}
		if c.Status == prove.Failed && !expected {
			t.Errorf("%s failed: %s", c.Name(), strings.Join(c.Problems, "; "))
		}
	}
	if r.OK() != (len(names) == 0) {
		t.Errorf("OK is %v", r.OK())
	}
	if t.Failed() {
		t.Logf("log:\n%s", r.Log)
	}
}
