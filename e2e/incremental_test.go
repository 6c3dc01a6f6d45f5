//go:build unix

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A chain of incremental backups in every form, each on the one before: all of them
// are good, and what cannot be is refused with what the server says and what to do.
func TestMatrixIncremental(t *testing.T) {
	var majors []int
	for _, major := range matrixMajors(t) {
		if major >= 17 {
			majors = append(majors, major)
		}
	}
	onMajors(t, majors, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.Setting("summarize_wal", "on"), pgtest.Checksums(true))
		space := s.CreateTablespace(t, "space")
		s.Exec(t, `create table big as select i, repeat('x', 500) as t from generate_series(1, 20000) i;
create table moved tablespace space as select i, repeat('y', 500) as t from generate_series(1, 2000) i;
create extension pg_visibility;
create table seen as select i from generate_series(1, 5000) i`)
		s.Exec(t, "vacuum (freeze) seen")
		home := pgtest.TempDir(t)
		full := filepath.Join(home, "full")
		plain := func(dir string) string { return "-T" + space + "=" + dir + "-space" }
		run(t, pgbasin, backupTo(s, full, plain(full))...).quiet(t)
		manifest := filepath.Join(full, "backup_manifest")

		last, started := manifest, startOf(t, manifest)
		chain := []link{{full, pgtest.Sums(t, s)}}
		for i, form := range []struct {
			name string
			args []string
		}{
			{"plain", []string{"-Fp"}},
			{"tar.zst", []string{"-Ft", "-Zzstd"}},
			{"tar", []string{"-Ft", "-Xfetch", "-P", "--manifest-checksums=sha256"}},
			{"plain server-gzip", []string{"-Fp", "-Zserver-gzip:1"}},
			{"tar.gz server-gzip", []string{"-Ft", "-Zserver-gzip:1", "-Xnone"}},
		} {
			t.Run(form.name, func(t *testing.T) {
				s.Exec(t, fmt.Sprintf("update big set t = repeat('z', 500) where i %% 5000 = %d; insert into moved values (%d, 'new'); delete from seen where i = %d", i, i, 1000*i+1))
				if form.name == "tar.gz server-gzip" {
					// Its WAL is received afterwards.
					s.Exec(t, "select pg_create_physical_replication_slot('archive', true)")
				}
				dir := filepath.Join(home, strings.ReplaceAll(form.name, " ", "-"))
				args := append(backupTo(s, dir, "--json", "-i", last), form.args...)
				if strings.HasPrefix(form.name, "plain") {
					args = append(args, plain(dir))
				}
				o := run(t, pgbasin, args...)
				o.succeeded(t)
				r := parseReport(t, o.stdout)
				if !r.Incremental || !r.Verified || r.FromLSN != started || r.FromTimeline != 1 || r.Bytes > 24<<20 {
					t.Errorf("%+v, want one that builds on the backup at %s", r, started)
				}
				chain = append(chain, link{dir, pgtest.Sums(t, s)})
				last = filepath.Join(dir, "backup_manifest")
				started = r.StartLSN
				if n := incrementalFiles(t, last); n < 100 {
					t.Errorf("%d incremental files", n)
				}
				var wal []string
				if strings.Contains(form.name, "tar.gz") {
					wal = []string{"-n"} // has none
				}
				run(t, pgbasin, append([]string{"verify", "--checksums", dir}, wal...)...).succeeded(t)
				if o := run(t, filepath.Join(filepath.Dir(pgbasin), "pg_verifybackup"), append([]string{"-q", dir}, wal...)...); o.status != 0 {
					t.Errorf("%+v", o)
				}
			})
		}
		if t.Failed() {
			return
		}
		t.Run("together", func(t *testing.T) { restoredTogether(t, major, chain) })
		t.Run("to a restore point", func(t *testing.T) { restoredToAPoint(t, s, chain) })
		t.Run("alone", func(t *testing.T) { aloneOfNoUse(t, filepath.Join(home, "plain"), filepath.Join(home, "tar.zst")) })
		t.Run("damaged", func(t *testing.T) { damagedIncrement(t, filepath.Join(home, "plain")) })
		t.Run("stdout", func(t *testing.T) {
			o := run(t, pgBasebackup, append(shortConnection(s), "-D-", "-Ft", "-cfast", "-i", manifest)...)
			o.failed(t, "can only write single tablespace to stdout")
		})
		incrementalRefusals(t, s, manifest)
	})
}

// link is a backup of a chain.
type link struct {
	dir  string
	sums map[string]string // of the server's tables when it was taken
}

// restoredTogether restores backups with those that they build on, whatever their
// forms, and proves one.
func restoredTogether(t *testing.T, major int, chain []link) {
	dirs := make([]string, len(chain))
	for i, l := range chain {
		dirs[i] = l.dir
	}
	for _, n := range []int{2, 3, 5} {
		into := filepath.Join(pgtest.TempDir(t), "data")
		oid := tablespaceOf(t, chain[1].dir)
		args := append([]string{"restore", "--json", "-D", into, "-T" + oid + "=" + into + "-space"}, dirs[:n]...)
		o := run(t, pgbasin, args...)
		o.succeeded(t)
		if !strings.Contains(o.stdout, `"verified":true`) {
			t.Errorf("%d backups: %s", n, o.stdout)
		}
		restored := pgtest.StartDir(t, major, into)
		pgtest.SameSums(t, pgtest.Sums(t, restored), chain[n-1].sums)
		// Servers do not note in WAL summaries that a page is not all visible any more.
		if wrong := pgtest.Query[int64](t, restored, "select count(*) from pg_check_visible('seen')"); wrong != 0 {
			t.Errorf("%d backups: %d rows are not visible that the visibility map says to be", n, wrong)
		}
	}
	server, err := pgtest.Installation(major)
	if err != nil {
		t.Fatal(err)
	}
	o := run(t, pgbasin, append([]string{"prove", "--json", "--amcheck", "--checksums", "--bindir", server.BinDir}, dirs[:4]...)...)
	o.succeeded(t)
	if !strings.Contains(o.stdout, `"ok":true`) || !strings.Contains(o.stdout, `"incrementals":["`+dirs[1]+`"`) {
		t.Errorf("%s", o.stdout)
	}

	into := filepath.Join(pgtest.TempDir(t), "data")
	o = run(t, pgbasin, "restore", "-D", into, dirs[0], dirs[2], dirs[1])
	o.failed(t, "starts at LSN", "expected", dirs[0]+"\" \""+dirs[1]+"\" \""+dirs[2])
	nothingAt(t, into)
	o = run(t, pgbasin, "restore", "-D", into, dirs[0], dirs[2])
	o.failed(t, "starts at LSN", "pgbasin info")
	nothingAt(t, into)
	o = run(t, pgbasin, "restore", "-D", into, dirs[0], dirs[0])
	o.failed(t, "is a full backup, but only the first backup should be a full backup")
	nothingAt(t, into)
	o = run(t, pgbasin, "restore", "-D", filepath.Join(dirs[0], "data"), dirs[0], dirs[1])
	o.failed(t, "lie one in the other")
	nothingAt(t, filepath.Join(dirs[0], "data"))
	o = run(t, pgbasin, "restore", "--dry-run", "-D", into, "-T"+tablespaceOf(t, dirs[1])+"="+into+"-space", dirs[0], dirs[1])
	o.succeeded(t)
	if !strings.Contains(o.stdout, "with the changes:") {
		t.Errorf("%s", o.stdout)
	}
	nothingAt(t, into)
}

// tablespaceOf is the OID of the only tablespace of a backup in plain format.
func tablespaceOf(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "pg_tblspc"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	return entries[0].Name()
}

// startOf is where the backup with that manifest started.
func startOf(t *testing.T, manifest string) string {
	t.Helper()
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Ranges []struct {
			Start string `json:"Start-LSN"`
		} `json:"WAL-Ranges"`
	}
	if err := json.Unmarshal(b, &m); err != nil || len(m.Ranges) != 1 {
		t.Fatalf("%s: %v, %+v", manifest, err, m)
	}
	return m.Ranges[0].Start
}

// incrementalFiles counts the files that a manifest has as such.
func incrementalFiles(t *testing.T, manifest string) (n int) {
	t.Helper()
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Files []struct{ Path string } }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if _, ok := incremental.Target(f.Path); ok {
			n++
		}
	}
	return n
}

// aloneOfNoUse tries what an incremental backup cannot do without the others.
func aloneOfNoUse(t *testing.T, dirs ...string) {
	for _, dir := range dirs {
		into := filepath.Join(pgtest.TempDir(t), "data")
		o := run(t, pgbasin, "restore", "-D", into, dir)
		o.failed(t, "is incremental", "pgbasin restore FULL INCREMENTAL...", "pgbasin combine")
		nothingAt(t, into)
	}
}

// damagedIncrement changes a byte of an incremental file.
func damagedIncrement(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "base", "*", incremental.Prefix+"*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	name, _ := filepath.Rel(dir, files[0])
	if o := run(t, pgbasin, "verify", dir); o.status != 1 || !strings.Contains(o.stderr, `checksum mismatch for file "`+name+`"`) {
		t.Errorf("%+v", o)
	}
}

// incrementalRefusals has a server refuse incremental backups for each of its
// reasons.
func incrementalRefusals(t *testing.T, s *pgtest.Server, manifest string) {
	checkpoint := s.QueryString(t, "select checkpoint_lsn::text from pg_control_checkpoint()")
	for _, c := range []struct {
		name     string
		prepare  func(t *testing.T)
		old, new string // in the manifest
		late     bool   // found only after the checkpoint
		words    []string
	}{
		{"another cluster", nil, `"System-Identifier": `, `"System-Identifier": 1`, false,
			[]string{"system identifier in backup manifest is 1", "but database system identifier is ", "hint: The manifest is of a backup of another cluster"}},
		{"another timeline", nil, `"Timeline": 1`, `"Timeline": 7`, true,
			[]string{"ERROR:  timeline 7 found in manifest, but not in this server's history", "hint: The backup to build on was taken on a timeline"}},
		{"WAL that is not there yet", nil, `"End-LSN": "`, `"End-LSN": "F`, true,
			[]string{"ERROR:  manifest requires WAL from final timeline 1 ending at F", "but this backup starts at"}},
		{"summaries gone", func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(s.DataDir(), "pg_wal", "summaries", "*.summary"))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}, "", "", true, []string{"ERROR:  WAL summaries are required on timeline 1 from", "are incomplete\nDETAIL:  The first unsummarized LSN", "wal_summary_keep_time"}},
		{"no summaries", func(t *testing.T) {
			s.Exec(t, "alter system set summarize_wal = off")
			s.Exec(t, "select pg_reload_conf()")
			eventually(t, "a server that does not summarize", func() bool { return s.QueryString(t, "show summarize_wal") == "off" })
		}, "", "", false, []string{"ERROR:  incremental backups cannot be taken unless WAL summarization is enabled", "hint: Set summarize_wal = on"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare(t)
			}
			given := manifest
			if c.old != "" {
				given = resealed(t, manifest, c.old, c.new)
			}
			for _, existing := range []bool{false, true} {
				p := newPlace(t, existing)
				o := run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-D", p.dir, "-i", given)...)
				o.failed(t, c.words...)
				p.unchanged(t)
				t.Log(o.stderr)
			}
			now := s.QueryString(t, "select checkpoint_lsn::text from pg_control_checkpoint()")
			if now != checkpoint && !c.late {
				t.Error("the server has made a checkpoint: the refusal came too late")
			}
			checkpoint = now
		})
	}
	noSlots(t, s)
}

// resealed is a copy of a manifest with something replaced, and a checksum that is
// right.
func resealed(t *testing.T, manifest, old, new string) string {
	t.Helper()
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(b, []byte(old), []byte(new), 1)
	if bytes.Equal(changed, b) {
		t.Fatalf("%s lacks %s", manifest, old)
	}
	end := bytes.LastIndexByte(changed[:len(changed)-1], '\n') + 1
	changed = fmt.Appendf(changed[:end:end], "\"Manifest-Checksum\": \"%x\"}\n", sha256.Sum256(changed[:end]))
	path := filepath.Join(t.TempDir(), "backup_manifest")
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
