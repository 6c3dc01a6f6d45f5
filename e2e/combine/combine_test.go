//go:build linux

package combine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/verify"
)

func TestMatrixAChainOfABusyServerBecomesTheServerThatItWas(t *testing.T) {
	majors := slices.DeleteFunc(harness.Majors(t, *majorsFlag), func(major int) bool { return major < 17 }) // which have no incremental backups
	if len(majors) == 0 {
		t.Fatalf("-majors %q has none that takes incremental backups", *majorsFlag)
	}
	few.Each(t, majors, combined)
}

// changes are what happens between the backups.
var changes = []string{
	`create table public.grown (i int primary key, filler text);
	 insert into grown select i, repeat('g', 200) from generate_series(1, 5000) i;
	 create table cut (i int primary key, filler text);
	 insert into cut select i, repeat('c', 200) from generate_series(1, 5000) i;
	 create table dropped as select * from grown;
	 create table still as select * from grown;
	 create table apart tablespace elsewhere as select * from grown;
	 create index apart_index on apart (i) tablespace elsewhere;
	 create extension amcheck`,
	`insert into grown select i, repeat('h', 200) from generate_series(5001, 9000) i;
	 delete from cut where i > 500; vacuum (truncate) cut;
	 drop table dropped;
	 create table fresh as select * from cut;
	 update apart set filler = 'new' where i % 50 = 0`,
	`update grown set filler = 'updated' where i % 7 = 0; vacuum grown;
	 insert into cut select i, repeat('d', 200) from generate_series(6000, 9000) i;
	 create index on fresh (i);
	 insert into apart select * from grown where i > 6000`,
	`truncate fresh; insert into fresh select * from cut limit 10;
	 vacuum full grown;
	 reindex index apart_index;
	 delete from apart where i > 3000; vacuum apart`,
}

func combined(t *testing.T, major int) {
	s := pgtest.Start(t, major, pgtest.Checksums(true), pgtest.Settings(map[string]string{
		"summarize_wal": "on", "wal_level": "replica", "autovacuum": "off",
	}))
	s.CreateTablespace(t, "elsewhere")
	dir := pgtest.TempDir(t)
	load := pgtest.Load(t, s, 1, "elsewhere")
	var tars []string
	var sums []map[string]string
	var commits []int64
	for i, sql := range changes {
		if i == 2 {
			if _, err := load.Stop(); err != nil {
				t.Fatal(err)
			}
			switchTimeline(t, s)
			load = pgtest.Load(t, s, 1)
		}
		execute(t, s, sql)
		load.Wait(t, 20)
		sums, commits = append(sums, pgtest.Sums(t, s)), append(commits, pgtest.CheckBalances(t, s))
		previous := ""
		if i > 0 {
			previous = tars[i-1]
		}
		tars = append(tars, filepath.Join(dir, fmt.Sprintf("tar%d", i)))
		take(t, s, tars[i], previous)
		listed, err := os.ReadFile(filepath.Join(tars[i], "backup_manifest"))
		if n := strings.Count(string(listed), "/INCREMENTAL."); err != nil || (i > 0) != (n > 300) {
			t.Fatalf("backup %d has %d incremental files: %v", i, n, err)
		}
	}
	if _, err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	location := s.QueryString(t, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'elsewhere'")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	plain := others(t, tars, "plain", unpacked)
	result := filepath.Join(dir, "result")
	mustRun(t, pgCombinebackup, append([]string{"-o", result, "-T", plain[3] + ".space=" + result + ".space"}, plain...)...)
	want := files(t, result)
	delete(want, "backup_manifest")
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip, codec.Zstd} {
		chain := tars
		if a != codec.None {
			chain = others(t, tars, a.String(), func(t *testing.T, backup, dir string) { compressed(t, backup, dir, a) })
		}
		out := filepath.Join(dir, "from-"+a.String())
		mustRun(t, pgbasin, append([]string{"combine", "-N", "-o", out, "-T", location + "=" + out + ".space"}, chain...)...)
		got := files(t, out)
		delete(got, "backup_manifest")
		sameFiles(t, a.String(), got, want)
		verified(t, out)
	}
	// A mixed chain, into tars, and these into a data directory again.
	packed, again := filepath.Join(dir, "packed"), filepath.Join(dir, "again")
	mustRun(t, pgbasin, "combine", "-N", "--format=tar", "-Z", "zstd", "-o", packed, tars[0], plain[1], plain[2], tars[3])
	verified(t, packed)
	mustRun(t, pgbasin, "combine", "-N", "-o", again, "-T", location+"="+again+".space", packed)
	got := files(t, again)
	delete(got, "backup_manifest")
	sameFiles(t, "packed", got, want)

	verified(t, result)
	starts(t, major, result, sums[3], commits[3])
	// The chain up to before the switch is the server as it was then.
	earlier := filepath.Join(dir, "earlier")
	mustRun(t, pgbasin, "combine", "-N", "-o", earlier, "-T", plain[1]+".space="+earlier+".space", plain[0], plain[1])
	starts(t, major, earlier, sums[1], commits[1])
}

// others are the same backups in another form.
func others(t *testing.T, tars []string, name string, make func(t *testing.T, backup, dir string)) (dirs []string) {
	t.Helper()
	for i, backup := range tars {
		dir := filepath.Join(filepath.Dir(backup), fmt.Sprintf("%s%d", name, i))
		make(t, backup, dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// execute runs statements one by one: some cannot be in a transaction with
// others.
func execute(t *testing.T, s *pgtest.Server, sql string) {
	t.Helper()
	conn := s.Conn(t)
	defer conn.Close(context.Background())
	for _, statement := range strings.Split(sql, ";") {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// switchTimeline makes the server a standby and promotes it.
func switchTimeline(t *testing.T, s *pgtest.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.DataDir(), "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	s.Promote(t)
}

// starts starts a result and compares what is in it.
func starts(t *testing.T, major int, dir string, sums map[string]string, commits int64) {
	t.Helper()
	s := pgtest.StartDir(t, major, dir)
	defer s.Kill()
	if got := pgtest.CheckBalances(t, s); got < commits {
		t.Errorf("%d transactions in the result, %d were committed before the backup began", got, commits)
	}
	pgtest.SameSums(t, pgtest.Sums(t, s), sums)
	if n := pgtest.Query[int64](t, s, `select count(bt_index_check(c.oid, true)) from pg_class c join pg_am a on a.oid = c.relam
		where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence <> 't'`); n < 100 {
		t.Errorf("only %d indexes were checked", n)
	}
}

// verified sees that a result is what its manifest says, and that its WAL and its
// pages are good.
func verified(t *testing.T, dir string) {
	t.Helper()
	report, err := verify.Run(context.Background(), verify.Options{Path: dir, PageChecksums: true, Observer: verify.Observer{
		Problem: func(p *verify.Problem) { t.Errorf("%s: %v", dir, p) },
		Warning: func(m string) { t.Errorf("%s: %s", dir, m) },
	}})
	if err != nil || !report.OK() || report.Pages.Checked < 1000 {
		t.Errorf("%s: %+v, %v", dir, report, err)
	}
}

// files are all files below a directory, links followed.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	var walk func(at, name string)
	walk = func(at, name string) {
		entries, err := os.ReadDir(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.Join(at, e.Name())
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() {
				walk(path, name+e.Name()+"/")
				continue
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[name+e.Name()] = string(content)
		}
	}
	walk(dir, "")
	return found
}

func sameFiles(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[name]; !ok || g != want[name] {
			t.Errorf("%s: %s differs: %v, %d and %d bytes", what, name, ok, len(g), len(want[name]))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is too much", what, name)
		}
	}
}
