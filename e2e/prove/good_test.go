//go:build linux

package prove

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// everything are the options for all checks.
var everything = []string{"--amcheck", "--dump", "--checksums", "--assert", "select count(*) >= 3000 from numbers", "-d", "app", "--assert", "select count(*) = 100 from orders"}

func TestMatrixGoodBackupsOfEachFormHold(t *testing.T) {
	onMajors(t, "10,15,18", func(t *testing.T, major int) {
		s := newSource(t, major)
		for _, form := range []struct {
			name string
			args []string
		}{
			{"plain", nil},
			{"tar", []string{"-Ft"}},
			{"tar.gz with WAL in it", []string{"-Ft", "-z", "-Xfetch"}},
		} {
			t.Run(form.name, func(t *testing.T) {
				backup := s.backUp(t, form.args...)
				p := prove(t, major, append(slices.Clone(everything), backup)...)
				p.holds(t)
				for _, name := range []string{"restore", "server", "recovery", "target: end of WAL", "amcheck app", "dump app", "amcheck postgres", "dump postgres", "amcheck template1", "checksums"} {
					if !slices.ContainsFunc(p.suite.Cases, func(c junitCase) bool { return c.Name == name }) {
						t.Errorf("there is no case %q", name)
					}
				}
			})
		}
		t.Run("whose WAL the archive has not caught up with", func(t *testing.T) { s.proveBehind(t, major) })
		t.Run("one tar on standard input", func(t *testing.T) { s.proveStream(t, major) })
		t.Run("with tablespaces, to a restore point", func(t *testing.T) { s.proveTarget(t, major) })
	})
}

// proveBehind proves a backup with an archive whose receiver was behind when the
// backup was taken, and is not there any more. The backup has what it needs.
func (s *source) proveBehind(t *testing.T, major int) {
	backup := s.backUp(t)
	segments, err := filepath.Glob(filepath.Join(backup, "pg_wal", "0000*0*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("the backup has the WAL %v, %v", segments, err)
	}
	content, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	clear(content[64:]) // in the middle of the first record
	archive := pgtest.TempDir(t)
	partial := filepath.Join(archive, filepath.Base(segments[0])+".partial")
	if err := os.WriteFile(partial, content, 0o644); err != nil {
		t.Fatal(err)
	}
	p := prove(t, major, "--wal-archive", archive, backup)
	p.holds(t)
}

// proveStream proves a backup that comes on standard input.
func (s *source) proveStream(t *testing.T, major int) {
	path := filepath.Join(t.TempDir(), "stream.tar")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd, wait := command(t, "backup", "-d", s.DSN(), "-D", "-", "-Ft", "-cfast")
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if o := wait(); o.status != 0 {
		t.Fatal(o.stderr)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	scratch, where := place(t, major)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	cmd, wait = command(t, append(append([]string{"prove", "--json", "--junit", junit, "--amcheck"}, where...), "-")...)
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := proof{outcome: wait()}
	p.read(t, junit)
	p.holds(t)
	nothingLeft(t, scratch)
}

// proveTarget proves that a backup and a WAL archive bring back a moment between
// two commits, while the server that they are of goes on with its tablespace.
func (s *source) proveTarget(t *testing.T, major int) {
	location := s.CreateTablespace(t, "elsewhere")
	s.Exec(t, "create table moved (id int) tablespace elsewhere; insert into moved select generate_series(1, 500)")
	backup := s.backUp(t, "-Ft", "-z")
	s.insert(t, 10001)
	s.Exec(t, "select pg_create_restore_point('here')")
	s.insert(t, 10002)
	args := []string{"--wal-archive", s.archive, "--amcheck", "--assert", "select count(*) = 500 from moved"}

	p := prove(t, major, append(slices.Clone(args), "--target-name", "here", "--assert", "select max(id) = 10001 from numbers", backup)...)
	p.holds(t)
	if p.report.Target == nil || p.report.Target.Kind != "name" || p.report.Target.Stopped == "" || p.report.Timeline != 2 || p.report.LastCommit == "" || p.report.Age == nil {
		t.Errorf("the report is %s", p.stdout)
	}
	p = prove(t, major, append(slices.Clone(args), "--assert", "select max(id) = 10002 from numbers", backup)...)
	p.holds(t)

	files, err := os.ReadDir(location)
	if err != nil || len(files) != 1 {
		t.Errorf("the server's tablespace has %v, %v", files, err)
	}
	if got := pgtest.Query[int](t, s.Server, "select count(*)::int from moved"); got != 500 {
		t.Errorf("the server has %d rows in it", got)
	}
}
