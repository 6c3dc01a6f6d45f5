//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A damaged page on the server is told in the server's words, the backup is
// kept for what can be saved, and is not marked as a backup.
func TestDamagedPage(t *testing.T) {
	onMajors(t, []int{11, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.Checksums(true))
		pgtest.Fill(t, s, 2<<20)
		table := s.QueryString(t, `select pg_relation_filepath(c.oid) from pg_class c join pg_namespace n on n.oid = relnamespace
where nspname = 'fill' and relkind = 'r' order by relpages desc, pg_relation_size(c.oid) desc limit 1`)
		file, err := os.OpenFile(filepath.Join(s.DataDir(), table), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		const at = 2*8192 + 5000
		b := make([]byte, 1)
		if _, err := file.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := file.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		warning := regexp.MustCompile(`(?m)^WARNING:  checksum verification failed in (file|block).*` + regexp.QuoteMeta(filepath.Base(table)) + `".*\bblock 2\b`)
		for _, c := range []struct{ name, format, sign string }{{"plain", "-Fp", "global/pg_control"}, {"tar", "-Ft", "base.tar"}} {
			t.Run(c.name, func(t *testing.T) {
				sign, nothing := c.sign, "backup_manifest"
				if major < 13 && c.format == "-Ft" {
					// Without a manifest, the archive's own name is what marks a backup.
					nothing, sign = sign, sign+".tmp"
				}
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				o := run(t, pgBasebackup, append(shortConnection(s), "-cfast", c.format, "-D", dir)...)
				o.failed(t, "checksum error occurred", dir)
				if !warning.MatchString(o.stderr) {
					t.Errorf("stderr lacks the server's warning:\n%s", o.stderr)
				}
				if _, err := os.Stat(filepath.Join(dir, sign)); err != nil {
					t.Errorf("the data was not kept: %v\n%s", err, o.stderr)
				}
				nothingAt(t, filepath.Join(dir, nothing))
			})
		}
		t.Run("not looked for", func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "backup")
			run(t, pgBasebackup, append(shortConnection(s), "-cfast", "--no-verify-checksums", "-D", dir)...).quiet(t)
		})
		t.Run("--json", func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "backup")
			o := run(t, pgbasin, backupTo(s, dir, "--json")...)
			r := parseReport(t, o.stdout)
			if o.status != 1 || r.Error == nil || !strings.Contains(*r.Error, "checksum") || r.SQLState == nil || *r.SQLState != "XX001" {
				t.Errorf("exit status %d, report %+v", o.status, r)
			}
		})
	})
}
