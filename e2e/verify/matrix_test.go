//go:build linux

package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// Backups are taken with pgbasin: the programs of most versions are not at hand.
func take(t *testing.T, s *pgtest.Server, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	args = append([]string{"backup", "-D", dir, "-c", "fast", "--no-sync", "-d", s.DSN()}, args...)
	if o := run(t, 0, pgbasin, args...); o.status != 0 {
		t.Fatalf("%q: %+v", args, o)
	}
	return dir
}

func TestMatrixBackupsOfABusyServerAreVerified(t *testing.T) {
	onMajors(t, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.Checksums(true))
		s.CreateTablespace(t, "elsewhere")
		load := pgtest.Load(t, s, 1, "elsewhere")
		load.Wait(t, 50)
		tablespaces := t.TempDir()
		for _, args := range [][]string{{"-Ft"}, {"-Ft", "-Z", "zstd"}, {"-Ft", "-X", "fetch", "-Z", "gzip:1"}, {"-Fp", "-T", ""}} {
			if args[len(args)-1] == "" {
				args[len(args)-1] = s.QueryString(t, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'elsewhere'") + "=" + tablespaces + "/elsewhere"
			}
			dir := take(t, s, args...)
			r := verifiedJSON(t, "--checksums", dir)
			if !r.Pages.Enabled || r.Pages.Checked < 500 || len(r.WAL) != 1 || r.SystemIdentifier != s.QueryString(t, "select system_identifier::text from pg_control_system()") {
				t.Errorf("%q: %+v, pages %+v", args, r, r.Pages)
			}
			version := 1
			switch {
			case major < 13:
				version = 0
			case major >= 17:
				version = 2
			}
			if r.ManifestVersion != version {
				t.Errorf("%q: manifest of version %d", args, r.ManifestVersion)
			}
			if o := run(t, 0, pgVerifybackup, dir); major >= 13 && o != (outcome{0, "backup successfully verified\n", ""}) || major < 13 && o.status != 1 {
				t.Errorf("%q: %+v", args, o)
			}
			if args[0] != "-Fp" {
				continue
			}
			b := &backup{t, dir}
			b.flip(table, 8192+500)
			if r, o := asJSON(t, "--checksums", dir); o.status != 1 || r.Pages.Broken != 1 {
				t.Errorf("%q: a flipped bit: %+v", args, o)
			}
			b.flip(table, 8192+500)
			segments, err := filepath.Glob(filepath.Join(dir, walDir, "0000*[0-9A-F]"))
			if err != nil || len(segments) == 0 {
				t.Fatal(segments, err)
			}
			if err := os.Truncate(segments[0], 0); err != nil {
				t.Fatal(err)
			}
			if r, o := asJSON(t, dir); o.status != 1 || len(r.Problems) != 1 || r.Problems[0].Kind != "wal" {
				t.Errorf("%q: WAL that is gone: %+v", args, o)
			}
		}
		if _, err := load.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestBackupWithoutAManifestIsCheckedAsFarAsThatGoes(t *testing.T) {
	for name, source := range map[string]string{"plain": plainBackup, "tar": tarBackup} {
		t.Run(name, func(t *testing.T) {
			b := cloneOf(t, source)
			b.remove("backup_manifest")
			o := run(t, 0, pgbasin, "verify", b.dir)
			if o.status != 0 || o.stdout != "WAL of the backup successfully verified\n" || !strings.Contains(o.stderr, "warning: the backup has no manifest") {
				t.Errorf("%+v", o)
			}
			r := verifiedJSON(t, "--checksums", b.dir)
			if want := verifiedJSON(t, "--checksums", source); r.WAL[0] != want.WAL[0] || *r.Pages != *want.Pages || r.ManifestVersion != 0 {
				t.Errorf("%+v, pages %+v; with a manifest %+v, pages %+v", r, r.Pages, want, want.Pages)
			}
			if o := run(t, 0, pgbasin, "verify", "-n", "--checksums", b.dir); o.status != 0 || o.stdout != "page checksums of the backup successfully verified\n" {
				t.Errorf("%+v", o)
			}
			if o := run(t, 0, pgbasin, "verify", "-n", b.dir); o.status != 1 || !strings.Contains(o.stderr, "error: the backup has no manifest") {
				t.Errorf("%+v", o)
			}
			for _, args := range [][]string{{"-m", b.path("backup_manifest")}, {"-m", "/nonexistent"}} {
				if o := run(t, 0, pgbasin, append([]string{"verify", b.dir}, args...)...); o.status != 1 || !strings.Contains(o.stderr, "could not open file") {
					t.Errorf("%q: %+v", args, o)
				}
			}
			if name == "tar" {
				b.only("base.tar", table, flipped(8192*2+77))
				b.remove("pg_wal.tar")
			} else {
				b.flip(table, 8192*2+77)
				b.remove(walDir)
			}
			if r, o := asJSON(t, "--checksums", b.dir); o.status != 1 || len(r.Problems) != 2 || r.Problems[0].Kind != "wal" || r.Problems[1].Path != table {
				t.Errorf("%+v", o)
			}
		})
	}
	b := cloneOf(t, plainBackup)
	b.remove("backup_manifest")
	b.remove("global/pg_control")
	if o := run(t, 0, pgbasin, "verify", b.dir); o.status != 1 || !strings.Contains(o.stderr, "global/pg_control: is missing or damaged") {
		t.Errorf("without a control file: %+v", o)
	}
	b = cloneOf(t, tarBackup)
	b.remove("backup_manifest")
	content := b.read("base.tar")
	b.write("base.tar", content[:len(content)-1024])
	if r, o := asJSON(t, b.dir); o.status != 1 || len(r.Problems) != 1 || r.Problems[0].Kind != "archive" {
		t.Errorf("archive without an end: %+v", o)
	}
	if o := run(t, 0, pgbasin, "verify", "/nonexistent/backup"); o.status != 1 || !strings.Contains(o.stderr, "could not open file \"/nonexistent/backup/backup_manifest\": No such file or directory") {
		t.Errorf("%+v", o)
	}
}
