//go:build unix

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// Forms are those of a backup that pg_basebackup makes without the server's
// help, with the options that ask for them.
var forms = []struct {
	name, suffix string
	short, long  []string
}{
	{"plain", "", []string{"-Fp"}, []string{"--format=plain"}},
	{"tar", ".tar", []string{"-Ft"}, []string{"--format", "tar"}},
	{"tar.gz", ".tar.gz", []string{"-Ft", "-z"}, []string{"--format=t", "--compress=client-gzip:1"}},
	{"tar.zst", ".tar.zst", []string{"-Ft", "-Zzstd"}, []string{"--format=tar", "--compress", "client-zstd:level=2,workers=2"}},
	{"tar.lz4", ".tar.lz4", []string{"-F", "t", "-Z", "lz4"}, []string{"--format=tar", "--compress=lz4:1"}},
}

var walMethods = []struct{ name, short, long string }{
	{"none", "-Xn", "--wal-method=none"},
	{"fetch", "-Xfetch", "--wal-method=fetch"},
	{"stream", "-Xs", "--wal-method=stream"},
}

// Every form of a backup with every method for its WAL, of a server that is
// written to, starts and has the data.
func TestMatrix(t *testing.T) {
	onMajors(t, matrixMajors(t), func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{tablespace: true, bytes: 15 << 20, rate: 60})
		for i, form := range forms {
			for j, method := range walMethods {
				t.Run(form.name+"/"+method.name, func(t *testing.T) {
					byName := (i+j+major)%2 == 0
					form := form.long
					if byName {
						form = forms[i].short
					}
					matrixBackup(t, s, forms[i].suffix, form, method.name, byName)
				})
			}
		}
		if major >= 15 {
			serverCompression(t, s)
			targets(t, s)
		}
	})
}

// matrixBackup takes one backup of the matrix and shows that it is right.
func matrixBackup(t *testing.T, s *source, suffix string, form []string, method string, byName bool) {
	dir := filepath.Join(pgtest.TempDir(t), "backup")
	keep := method == "none"
	if keep {
		s.Exec(t, "select pg_create_physical_replication_slot('keep', true)")
		defer s.Exec(t, "select pg_drop_replication_slot('keep')")
	}
	p := &program{}
	if byName {
		p.path = pgBasebackup
		p.args = append(shortConnection(s.Server), "-D", dir, "-cfast")
		p.args = append(p.args, form...)
		for _, m := range walMethods {
			if m.name == method && method != "stream" { // the default
				p.args = append(p.args, m.short)
			}
		}
		// One combination in a few is synced as backups are by default.
		if method != "stream" || suffix == "" {
			p.args = append(p.args, "-N")
		}
		if suffix == "" {
			p.args = append(p.args, "-T", s.mapping(dir))
		}
	} else {
		p.path = pgbasin
		p.args = append([]string{"backup"}, longConnection(s.Server)...)
		p.args = append(p.args, form...)
		p.args = append(p.args, "--pgdata="+dir, "--checkpoint=fast", "--json")
		for _, m := range walMethods {
			if m.name == method {
				p.args = append(p.args, m.long)
			}
		}
		if method != "stream" || suffix != ".tar" && suffix != "" {
			p.args = append(p.args, "--no-sync")
		}
		if suffix == "" {
			p.args = append(p.args, "--tablespace-mapping="+s.mapping(dir))
		}
	}
	committed := s.load.Commits()
	o := p.run(t)
	o.succeeded(t)
	// Asked to include no WAL, the server says that something else has to
	// keep it.
	words := strings.TrimSpace(o.stderr)
	if method == "none" && strings.HasPrefix(words, "NOTICE:  WAL archiving is not enabled") && !strings.Contains(words, "\n") {
		words = ""
	}
	if words != "" {
		t.Errorf("a successful backup says %q", o.stderr)
	}
	if byName {
		if o.stdout != "" {
			t.Errorf("a backup without --json has output: %q", o.stdout)
		}
	} else {
		checkReport(t, s, parseReport(t, o.stdout), method)
	}
	data := restored(t, s, dir, suffix, method)
	startAndCompare(t, s.Server, data, s.sums, committed)
}

// restored turns what was backed up into a data directory, having checked the
// manifest and the names of files.
func restored(t *testing.T, s *source, dir, suffix, method string) string {
	t.Helper()
	if suffix != "" {
		wal := ".tar"
		if suffix != ".tar" {
			wal = suffix
		}
		if _, err := os.Stat(filepath.Join(dir, "base"+suffix)); err != nil {
			t.Errorf("no file of that name: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "pg_wal"+wal)); (err == nil) != (method == "stream") {
			t.Errorf("with -X %s: pg_wal%s: %v", method, wal, err)
		}
	}
	major := s.Major()
	if _, err := os.Stat(filepath.Join(dir, "backup_manifest")); (err == nil) != (major >= 13) {
		t.Errorf("backup_manifest of %d: %v", major, err)
	}
	data := dir
	switch {
	case method == "fetch" && suffix != "":
		// Anybody's tools do, and what they restore is what the manifest says.
		data = dir + "-data"
		restoreTar(t, dir, data)
		defer remap(t, data)
	case method != "fetch":
		data = dir + "-data"
		restoreHere(t, s, dir, data, method)
	}
	if major >= 13 && major <= 16 && (data == dir || method == "fetch") {
		verifyBackup(t, major, method != "none", "-m", filepath.Join(dir, "backup_manifest"), data)
	}
	if method == "none" {
		giveWAL(t, s.Server, data)
	}
	return data
}

// restoreHere restores a backup with pgbasin, its tablespace beside the data
// directory.
func restoreHere(t *testing.T, s *source, dir, data, method string) {
	t.Helper()
	space := s.space
	if _, err := os.Stat(dir + "-space"); err == nil {
		space = dir + "-space" // where a plain backup has it
	}
	o := run(t, pgbasin, "restore", "-D", data, "-T", space+"="+data+"-space", "--json", "-N", dir)
	o.succeeded(t)
	if words := strings.TrimSpace(o.stderr); (words != "") != (method == "none") {
		t.Errorf("a successful restore says %q", words)
	}
	var r struct {
		Verified bool
		Version  string
	}
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || r.Verified != (s.Major() >= 13) || r.Version != strconv.Itoa(s.Major()) {
		t.Errorf("%v: %s", err, o.stdout)
	}
}

func checkReport(t *testing.T, s *source, r *report, method string) {
	t.Helper()
	if id := s.QueryString(t, "select system_identifier::text from pg_control_system()"); r.SystemIdentifier != id {
		t.Errorf("system_identifier %s, want %s", r.SystemIdentifier, id)
	}
	if r.Verified != (s.Major() >= 13) || r.Manifest != (s.Major() >= 13) {
		t.Errorf("verified %v, manifest %v, of version %d", r.Verified, r.Manifest, s.Major())
	}
	if r.Bytes < 30<<20 || r.Files < 500 || r.DurationSeconds <= 0 {
		t.Errorf("%d bytes, %d files, %v seconds", r.Bytes, r.Files, r.DurationSeconds)
	}
	if (r.WALBytes > 0) != (method == "stream") {
		t.Errorf("%d bytes of WAL were streamed with -X %s", r.WALBytes, method)
	}
	if len(r.Tablespaces) != 2 || r.Tablespaces[0].Location != s.space || r.Tablespaces[1].OID != 0 {
		t.Errorf("tablespaces: %+v", r.Tablespaces)
	}
	if ahead := pgtest.Query[bool](t, s.Server, "select $1::pg_lsn < $2::pg_lsn and $2::pg_lsn <= pg_current_wal_lsn()", r.StartLSN, r.StopLSN); !ahead {
		t.Errorf("start %s, stop %s", r.StartLSN, r.StopLSN)
	}
}

// serverCompression takes the forms that the server compresses.
func serverCompression(t *testing.T, s *source) {
	configured := s.QueryString(t, "select setting from pg_config where name = 'CONFIGURE'")
	for _, c := range []struct{ name, suffix, option, detail string }{
		{"gzip", ".tar.gz", "", ":1"},
		{"lz4", ".tar.lz4", "--with-lz4", ""},
		{"zstd", ".tar.zst", "--with-zstd", ":level=1"},
	} {
		supported := strings.Contains(configured, c.option)
		for _, form := range []string{"plain", "tar"} {
			t.Run("server-"+c.name+"/"+form, func(t *testing.T) {
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				args := append(shortConnection(s.Server), "-D", dir, "-cfast", "-N", "-F"+form[:1], "-Zserver-"+c.name+c.detail)
				suffix := ""
				if form == "tar" {
					suffix = c.suffix
				} else {
					args = append(args, "-T", s.mapping(dir))
				}
				committed := s.load.Commits()
				o := run(t, pgBasebackup, args...)
				if !supported {
					o.failed(t, "this build does not support compression with")
					nothingAt(t, dir)
					return
				}
				o.quiet(t)
				if suffix != "" {
					// The WAL stream is not the server's to compress.
					if _, err := os.Stat(filepath.Join(dir, "pg_wal.tar")); err != nil {
						t.Error(err)
					}
					data := dir + "-data"
					restoreTar(t, dir, data)
					remap(t, data)
					startAndCompare(t, s.Server, data, s.sums, committed)
					return
				}
				startAndCompare(t, s.Server, restored(t, s, dir, "", "stream"), s.sums, committed)
			})
		}
	}
}

// targets has the server store a backup, or throw it away.
func targets(t *testing.T, s *source) {
	t.Run("target/server", func(t *testing.T) {
		home := s.TempDir(t)
		dir := filepath.Join(home, "backup")
		committed := s.load.Commits()
		o := run(t, pgBasebackup, append(shortConnection(s.Server), "-cfast", "-t", "server:"+dir, "-Xfetch", "-Zgzip:1")...)
		o.quiet(t)
		data := filepath.Join(pgtest.TempDir(t), "data")
		restoreTar(t, dir, data)
		remap(t, data)
		startAndCompare(t, s.Server, data, s.sums, committed)
	})
	t.Run("target/blackhole", func(t *testing.T) {
		o := run(t, pgbasin, append([]string{"backup", "--checkpoint=fast", "--target=blackhole", "--wal-method=fetch"}, longConnection(s.Server)...)...)
		o.succeeded(t)
	})
}
