//go:build unix

package resume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A backup that was killed at any point, and killed again while it was resumed, is
// resumed, and what was there is not sent again.
func (s *source) killed(t *testing.T) {
	r := random(t)
	for n := range 10 {
		// The start point is told after some hundred bytes; before, there is nothing to
		// resume.
		first := 20<<10 + r.Int64N(s.whole*9/10)
		second := r.Int64N((s.whole - first) / 2)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			few.Together(t)
			p := s.place(t)
			var once, always []string
			switch n {
			case 0:
				once = []string{"--waldir", p.dir + "-wal"}
			case 1:
				always = []string{"--manifest-checksums=SHA256", "-Xfetch"}
			case 2:
				always = []string{"-R"}
			}
			run := p.killed(t, mainConnection, first, append(append(once, always...), "-v", "-T", p.mapping())...)
			since := run.start(t)
			p.reconnect(t)
			p.killed(t, resumedConnection, second, append(always, "--resume")...)
			files, bytes := p.there(t)
			p.reconnect(t)
			run = start(t, p.args(append(always, "--resume", "-v")...)...)
			run.succeeded(t)
			if n == 2 {
				if signal := glob(t, p.dir, "standby.signal"); signal == "" {
					t.Error("it is no standby")
				}
				if err := os.Remove(filepath.Join(p.dir, "standby.signal")); err != nil {
					t.Fatal(err)
				}
			}
			report := run.report(t)
			t.Logf("killed after %d bytes, and after %d", first, second)
			if n != 1 { // with its WAL among the rest
				p.frugal(t, since, files, report)
			}
			// The file under way is lost, and what was changed in place and not read yet.
			if report.KeptBytes < bytes*8/10-3<<20 || report.KeptBytes > bytes {
				t.Errorf("%d bytes kept of %d bytes in relation files", report.KeptBytes, bytes)
			}
			p.check(t)
		})
	}
}

// A file of which blocks are being changed in place when the program dies is found not to
// be what it was, again and again.
func (s *source) killedInPlace(t *testing.T) {
	few.Together(t)
	r := random(t)
	p := s.place(t)
	s.Exec(t, `create table load.churn as select i, repeat('x', 200) t from generate_series(1, 20000) i`)
	p.killed(t, mainConnection, s.whole*95/100, "-T", p.mapping())
	for n := range 4 {
		s.Exec(t, fmt.Sprintf(`update load.churn set t = repeat('%d', 200) where i %% 300 = %d`, n, n))
		p.reconnect(t)
		p.killed(t, resumedConnection, r.Int64N(s.whole/20), "--resume")
	}
	p.reconnect(t)
	run := start(t, p.args("--resume", "-v")...)
	run.succeeded(t)
	t.Log(run.stdout.String())
	p.check(t)
}

// A file that was changed meanwhile is fetched again, and so is one that is gone.
func (s *source) damaged(t *testing.T) {
	few.Together(t)
	p := s.place(t)
	p.killed(t, mainConnection, s.whole*95/100, "-T", p.mapping())
	file := s.QueryString(t, "select pg_relation_filepath('apart.t1')")
	gone := s.QueryString(t, "select pg_relation_filepath('apart.t2')")
	f, err := os.OpenFile(filepath.Join(p.dir, file), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], 100000); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], 100000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Remove(filepath.Join(p.dir, gone)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "base", "stray"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}

	// Without --resume the directory is not touched.
	p.reconnect(t)
	run := start(t, p.args("-T", p.mapping())...)
	if run.wait(t) != 1 {
		t.Error("a backup into what is left of one succeeded")
	}
	says(t, run.stderr.String(), "exists but is not empty", "--resume goes on with it")

	run = start(t, p.args("--resume", "-v")...)
	run.succeeded(t)
	const again = "is not as it arrived and is fetched again"
	says(t, run.stderr.String(), `"`+file+`" `+again, `"`+gone+`" `+again)
	if n := strings.Count(run.stderr.String(), again); n != 2 {
		t.Errorf("%d files are fetched again, want 2:\n%s", n, run.stderr.String())
	}
	p.check(t)
}

// What the server makes, changes and drops between two attempts is so in the backup.
func (s *source) restructured(t *testing.T) {
	p := s.place(t)
	s.CreateTablespace(t, "doomed")
	s.Exec(t, `create schema fleeting;
create table fleeting.dropped as select i, repeat('x', 100) t from generate_series(1, 9000) i;
create table fleeting.truncated as table fleeting.dropped;
create table fleeting.shortened as table fleeting.dropped;
create table fleeting.extended as table fleeting.dropped;
create table fleeting.elsewhere tablespace doomed as table fleeting.dropped`)
	s.Exec(t, "create database fleeting_db")
	s.Exec(t, "create table fleeting.visible as table fleeting.dropped")
	s.Exec(t, "vacuum freeze fleeting.visible")
	doomed := s.QueryString(t, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'doomed'")
	p.killed(t, mainConnection, s.whole*95/100, "-T", p.mapping(), "-T", doomed+"="+p.dir+"-doomed")
	if names := glob(t, p.dir+"-doomed", "*/*/*"); names == "" {
		t.Fatal("nothing has come of the tablespace that is to go")
	}
	fresh := s.CreateTablespace(t, "fresh")
	s.Exec(t, "drop table fleeting.elsewhere")
	s.Exec(t, "drop tablespace doomed")
	s.Exec(t, `drop table fleeting.dropped; truncate fleeting.truncated;
delete from fleeting.shortened where i > 500;
delete from fleeting.visible where i = 4000;
insert into fleeting.extended select * from fleeting.extended;
create table fleeting.created tablespace fresh as table fleeting.extended`)
	s.Exec(t, "vacuum fleeting.shortened")
	s.Exec(t, "drop database fleeting_db")
	if pages := pgtest.Query[int64](t, s.Server, "select pg_relation_size('fleeting.shortened') / 8192"); pages > 20 {
		t.Fatalf("the table was not cut off: it has %d pages", pages)
	}
	sums := s.sums
	s.sums = pgtest.Sums(t, s.Server)
	p.reconnect(t)
	run := start(t, p.args("--resume", "-v", "-T", fresh+"="+p.dir+"-fresh")...)
	run.succeeded(t)
	if _, err := os.Lstat(p.dir + "-doomed"); !os.IsNotExist(err) {
		t.Errorf("the tablespace that was dropped is still there: %v", err)
	}
	p.check(t)
	s.Exec(t, "drop schema fleeting cascade")
	s.Exec(t, "drop tablespace fresh")
	s.sums = sums
}
