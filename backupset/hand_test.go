package backupset_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// hotCopy copies a data directory while the server says that it is backed up,
// as the documentation has it, with its tablespace as the copy does it.
func hotCopy(t *testing.T, s *pgtest.Server, to string, cp ...string) {
	t.Helper()
	conn := s.Conn(t)
	begin, end := "select pg_backup_start('by hand', true)", "select labelfile, spcmapfile from pg_backup_stop(false)"
	if s.Major() < 15 {
		begin, end = "select pg_start_backup('by hand', true, false)", "select labelfile, spcmapfile from pg_stop_backup(false, false)"
	}
	if _, err := conn.Exec(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	run(t, "/", "cp", append(append(cp, s.DataDir()), to)...)
	var label, spaces string
	if err := conn.QueryRow(t.Context(), end).Scan(&label, &spaces); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "backup_label"), label)
	if spaces != "" {
		write(t, filepath.Join(to, "tablespace_map"), spaces)
	}
}

func TestHandMadeCopiesAndTheirTars(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	s.Exec(t, "create table t as select generate_series(1, 1000) n")
	dir := t.TempDir()
	copied := filepath.Join(dir, "base") // a name that data directories have inside
	hotCopy(t, s, copied, "-R")
	want := contents{}
	tree(t, copied, "", want)

	check := func(path, prefix string) {
		t.Helper()
		set := open(t, path)
		h := peek(t, set)
		if h.Version != 150000 || h.Label == nil || h.Label.Label != "by hand" || h.Control == nil || !h.ByHand || h.Prefix != prefix || !h.All || h.Manifest != nil {
			t.Errorf("%s: %+v", path, h)
		}
		got := readAll(t, set)
		same(t, got, want)
		if d := describe(t, set); len(d.Problems) != 0 || d.Files == 0 {
			t.Errorf("%s: %+v", path, d)
		}
	}
	check(copied, "")
	run(t, dir, "tar", "czf", "named.tgz", "base")
	check(filepath.Join(dir, "named.tgz"), "base")
	run(t, copied, "tar", "cf", "../dot.tar", ".")
	check(filepath.Join(dir, "dot.tar"), "")
	run(t, "/", "tar", "cf", filepath.Join(dir, "deep"), "--format=posix", strings.TrimPrefix(copied, "/"))
	check(filepath.Join(dir, "deep"), strings.TrimPrefix(copied, "/"))
	// What users keep beside the data comes first, and says nothing.
	if err := os.MkdirAll(filepath.Join(copied, "archive/base"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(copied, "archive/base"), filepath.Join(copied, "archive/copies")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(copied, "AA.txt"), "notes")
	tree(t, copied, "", want)
	run(t, copied, "sh", "-c", "LC_ALL=C tar cf ../flat.tar archive AA.txt $(ls | grep -v -e archive -e AA.txt)")
	check(filepath.Join(dir, "flat.tar"), "")

	// Standard input, from its beginning or not.
	for _, name := range []string{"dot.tar", "flat.tar"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		set, err := backupset.Open("-", backupset.Options{Stdin: f})
		if err != nil {
			t.Fatal(err)
		}
		peek(t, set)
		got := readAll(t, set)
		if got["global/pg_control"] == "" || got["backup_label"] != want["backup_label"] {
			t.Errorf("%s: %d members", name, len(got))
		}
	}

	// A label that was forgotten makes a hot copy worthless.
	if err := os.Remove(filepath.Join(copied, "backup_label")); err != nil {
		t.Fatal(err)
	}
	if d := describe(t, open(t, copied)); len(d.Problems) != 1 || !strings.Contains(d.Problems[0], "backup_label") {
		t.Errorf("without a label: %q", d.Problems)
	}
}

func TestATablespaceThatWasCopiedAsALinkIsNotInTheBackup(t *testing.T) {
	s, location, oid := source(t, 15)
	dir := t.TempDir()
	links, whole := filepath.Join(dir, "links"), filepath.Join(dir, "whole")
	hotCopy(t, s, links, "-R")
	hotCopy(t, s, whole, "-RL")
	run(t, dir, "tar", "cf", "links.tar", "links")
	run(t, dir, "tar", "czf", "followed.tgz", "-h", "links")
	name := "pg_tblspc/" + strconv.Itoa(int(oid))
	for path, want := range map[string]backupset.Where{
		links: backupset.Nowhere, whole: backupset.InData,
		filepath.Join(dir, "links.tar"): backupset.Nowhere, filepath.Join(dir, "followed.tgz"): backupset.InData,
	} {
		set := open(t, path)
		h := peek(t, set)
		if len(h.Tablespaces) != 1 || h.Tablespaces[0].OID != oid || h.Tablespaces[0].Location != location || h.Tablespaces[0].Where != want || len(set.Archives) != 1 {
			t.Errorf("%s: %+v, archives %+v", path, h.Tablespaces, set.Archives)
		}
		got := readAll(t, set)
		inside := 0
		for member := range got.files() {
			if strings.HasPrefix(member, name+"/PG_15_") {
				inside++
			}
		}
		if (inside > 0) != (want == backupset.InData) {
			t.Errorf("%s: %d files of the tablespace", path, inside)
		}
		if d := describe(t, set); (len(d.Problems) == 0) != (want == backupset.InData) {
			t.Errorf("%s: %q", path, d.Problems)
		}
	}
}

func TestAManifestOfAnOlderBackupDoesNotCount(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	tool, err := s.Install().Path("pg_basebackup")
	if err != nil {
		t.Fatal(err)
	}
	dir := pgtest.TempDir(t)
	first := filepath.Join(dir, "first")
	run(t, dir, tool, "-d", s.DSN(), "-D", first, "-c", "fast")
	second := pgtest.StartDir(t, 15, first)
	copied, cold := filepath.Join(dir, "copied"), filepath.Join(dir, "cold")
	hotCopy(t, second, copied, "-R")
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "cp", "-R", first, cold)
	run(t, dir, "tar", "cf", "copied.tar", "copied")
	for _, path := range []string{copied, cold, filepath.Join(dir, "copied.tar")} {
		set := open(t, path)
		h := peek(t, set)
		if !h.StaleManifest || h.Manifest != nil || h.Version != 150000 {
			t.Errorf("%s: %+v", path, h)
		}
		if m, err := set.OpenManifest(); err == nil {
			m.Close()
			t.Errorf("%s: the stale manifest was opened", path)
		}
		if d := describe(t, set); len(d.Problems) != 0 || !d.StaleManifest {
			t.Errorf("%s: %q", path, d.Problems)
		}
	}
}
