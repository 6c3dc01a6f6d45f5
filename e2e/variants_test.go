//go:build unix

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A standby can be backed up while its primary is written to.
func TestBackupFromStandby(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{bytes: 4 << 20, rate: 100})
		standby := pgtest.StartStandby(t, s.Server)
		for _, format := range []string{"-Fp", "-Ft"} {
			t.Run(format, func(t *testing.T) {
				committed := s.load.Commits()
				standby.CatchUp(t, s.Server)
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				run(t, pgBasebackup, append(shortConnection(standby), "-cfast", "-N", format, "-D", dir)...).quiet(t)
				data := dir
				if format == "-Ft" {
					data = dir + "-data"
					restoreTar(t, dir, data)
				}
				if label, err := os.ReadFile(filepath.Join(data, "backup_label")); err != nil || !strings.Contains(string(label), "BACKUP FROM: standby") {
					t.Errorf("backup_label: %v\n%s", err, label)
				}
				// Without what makes it another standby it becomes a server of its own.
				for _, name := range []string{"standby.signal", "recovery.conf"} {
					if err := os.Remove(filepath.Join(data, name)); err != nil && !os.IsNotExist(err) {
						t.Fatal(err)
					}
				}
				startAndCompare(t, s.Server, data, s.sums, committed)
			})
		}
	})
}

// The size of WAL segments can be any that initdb allows.
func TestWALSegmentSizes(t *testing.T) {
	for _, c := range []struct{ major, mb int }{{11, 1}, {15, 64}, {18, 1}, {18, 64}} {
		t.Run(fmt.Sprintf("%d/%d MB", c.major, c.mb), func(t *testing.T) {
			s := startSource(t, c.major, sourceConfig{bytes: 4 << 20, rate: 100}, pgtest.WALSegSize(c.mb))
			for _, format := range []string{"-Fp", "-Ft"} {
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				committed := s.load.Commits()
				run(t, pgBasebackup, append(shortConnection(s.Server), "-cfast", "-N", format, "-D", dir)...).quiet(t)
				data := dir
				if format == "-Ft" {
					data = dir + "-data"
					restoreTar(t, dir, data)
				}
				segments, err := filepath.Glob(filepath.Join(data, "pg_wal", "0*"))
				if err != nil || len(segments) == 0 {
					t.Fatalf("segments: %v, %v", segments, err)
				}
				for _, segment := range segments {
					if info, err := os.Stat(segment); err != nil || info.Size() != int64(c.mb)<<20 {
						t.Errorf("segment %s: %v, %v", segment, info, err)
					}
				}
				startAndCompare(t, s.Server, data, s.sums, committed)
			}
		})
	}
}

// A server that lets the group read its files gets a backup that does so too.
func TestGroupAccess(t *testing.T) {
	onMajors(t, []int{11, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.GroupAccess())
		s.CreateTablespace(t, "space")
		space := s.QueryString(t, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'space'")
		s.Exec(t, "create table t (i int) tablespace space; insert into t select generate_series(1, 1000)")
		check := func(t *testing.T, root string) {
			t.Helper()
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.Type()&fs.ModeSymlink != 0 {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				want := fs.FileMode(0o640)
				if d.IsDir() {
					want = 0o750
				}
				if got := info.Mode().Perm(); got != want {
					t.Errorf("%s has mode %o, want %o", path, got, want)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		t.Run("plain", func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "backup")
			run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-NRD", dir, "-T", space+"="+dir+"-space")...).quiet(t)
			check(t, dir)
			check(t, dir+"-space")
		})
		t.Run("tar", func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "backup")
			run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-Ft", "-NRD", dir)...).quiet(t)
			check(t, dir)
			files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
			if err != nil || len(files) != 3 {
				t.Fatalf("tar files: %v, %v", files, err)
			}
			for _, file := range files {
				out, err := exec.Command("tar", "-tvf", file).Output()
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(out)) {
					if !strings.HasPrefix(line, "-rw-r----- ") && !strings.HasPrefix(line, "drwxr-x--- ") && !strings.HasPrefix(line, "l") {
						t.Errorf("%s holds %s", filepath.Base(file), line)
					}
				}
			}
		})
	})
}

// With -R a backup starts as a standby that streams from its source, in both
// formats, and with the slot that was made for it.
func TestStandbyFromBackup(t *testing.T) {
	onMajors(t, []int{10, 11, 12, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{bytes: 1 << 20, rate: 50})
		for _, c := range []struct {
			name string
			args []string
		}{
			{"plain", []string{"-RC", "-S", "for_plain"}},
			{"tar", []string{"--write-recovery-conf", "-Ft", "--create-slot", "--slot=for_tar"}},
			{"tar.gz", []string{"-R", "-Ft", "-z"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				args := append([]string{"-d", fmt.Sprintf(`host=%s port=%d user=postgres application_name='it\'s mine'`, s.SocketDir(), s.Port()), "-cfast", "-N", "-D", dir}, c.args...)
				run(t, pgBasebackup, args...).quiet(t)
				data := dir
				if c.name != "plain" {
					data = dir + "-data"
					restoreTar(t, dir, data)
				}
				// What was added to the backup is not counted in its manifest.
				if major >= 13 && major <= 16 {
					verifyBackup(t, major, true, "-m", filepath.Join(dir, "backup_manifest"), data)
				}
				standby := pgtest.StartDir(t, major, data)
				defer standby.Kill()
				eventually(t, "a standby that streams", func() bool {
					return pgtest.Query[int64](t, s.Server, "select count(*) from pg_stat_replication where state = 'streaming' and application_name = 'it''s mine'") == 1
				})
				if slot := "for_" + c.name; c.name != "tar.gz" {
					if !pgtest.Query[bool](t, s.Server, "select active from pg_replication_slots where slot_name = $1", slot) {
						t.Errorf("slot %s is not in use", slot)
					}
				}
				committed := s.load.Commits()
				standby.CatchUp(t, s.Server)
				compare(t, standby, s.sums, committed)
				if !pgtest.Query[bool](t, standby, "select pg_is_in_recovery()") {
					t.Error("it is not a standby")
				}
			})
		}
	})
}

// The WAL stream moves a slot that it is given, and leaves it.
func TestSlots(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{bytes: 1 << 20, rate: 50})
		s.Exec(t, "select pg_create_physical_replication_slot('old', true)")
		before := s.QueryString(t, "select restart_lsn::text from pg_replication_slots where slot_name = 'old'")
		slots := func() string {
			return s.QueryString(t, "select string_agg(slot_name || ' ' || temporary || ' ' || active, ', ' order by slot_name) from pg_replication_slots")
		}
		for _, c := range []struct {
			name string
			args []string
			want string
		}{
			{"existing", []string{"-S", "old"}, "old false false"},
			{"new", []string{"-CSnew"}, "new false false, old false false"},
			{"none", []string{"--no-slot"}, "new false false, old false false"},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				committed := s.load.Commits()
				run(t, pgBasebackup, append(append(shortConnection(s.Server), "-cfast", "-ND", dir), c.args...)...).quiet(t)
				eventually(t, c.want, func() bool { return slots() == c.want })
				startAndCompare(t, s.Server, dir, s.sums, committed)
			})
		}
		for _, slot := range []string{"old", "new"} {
			if !pgtest.Query[bool](t, s.Server, "select restart_lsn > $2::pg_lsn from pg_replication_slots where slot_name = $1", slot, before) {
				t.Errorf("slot %q was not moved", slot)
			}
		}
	})
}

// --waldir puts the WAL elsewhere and links to it.
func TestWALDirectory(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{bytes: 1 << 20, rate: 50})
		for _, method := range []string{"stream", "fetch"} {
			t.Run(method, func(t *testing.T) {
				home := pgtest.TempDir(t)
				dir, wal := filepath.Join(home, "backup"), filepath.Join(home, "wal")
				committed := s.load.Commits()
				run(t, pgBasebackup, append(shortConnection(s.Server), "-cfast", "-ND", dir, "-X", method, "--waldir="+wal)...).quiet(t)
				if target, err := os.Readlink(filepath.Join(dir, "pg_wal")); err != nil || target != wal {
					t.Errorf("pg_wal leads to %q: %v", target, err)
				}
				startAndCompare(t, s.Server, dir, s.sums, committed)
			})
		}
	})
}

// --max-rate holds: neither more than twice what is asked for, nor a crawl.
func TestMaxRate(t *testing.T) {
	onMajors(t, []int{15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major)
		pgtest.Fill(t, s, 8<<20)
		for _, format := range []string{"-Fp", "-Ft"} {
			o := run(t, pgbasin, backupTo(s, filepath.Join(pgtest.TempDir(t), "backup"), format, "--json", "--max-rate=8M", "-Xfetch")...)
			o.succeeded(t)
			r := parseReport(t, o.stdout)
			const limit = 8 << 20
			if rate := float64(r.Bytes) / r.DurationSeconds; rate > 2*limit {
				t.Errorf("%s: %d bytes in %.1f seconds: %.0f a second, the limit is %d", format, r.Bytes, r.DurationSeconds, rate, limit)
			}
		}
	})
}

// Tablespaces inside the data directory stay there.
func TestInPlaceTablespace(t *testing.T) {
	onMajors(t, []int{15, 16, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.Setting("allow_in_place_tablespaces", "on"))
		s.Exec(t, "create tablespace inside location ''")
		s.Exec(t, "create schema apart; create table apart.numbers (i int) tablespace inside; insert into apart.numbers select generate_series(1, 10000); create table apart.more as select 1 as i")
		oid := s.QueryString(t, "select oid::text from pg_tablespace where spcname = 'inside'")
		sums := pgtest.Sums(t, s)
		for _, c := range []struct{ name, suffix string }{{"plain", ""}, {"tar", ".tar"}, {"tar.gz", ".tar.gz"}} {
			// A server of version 15 leaves such tablespaces out of what it sends for
			// the tar format, and out of the manifest.
			if major == 15 && c.suffix != "" {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				args := append(shortConnection(s), "-cfast", "-ND", dir)
				if c.suffix != "" {
					args = append(args, "-Ft")
				}
				if c.suffix == ".tar.gz" {
					args = append(args, "-z")
				}
				run(t, pgBasebackup, args...).quiet(t)
				data := dir
				if c.suffix != "" {
					data = dir + "-data"
					unpack(t, filepath.Join(dir, "base"+c.suffix), data)
					unpack(t, filepath.Join(dir, "pg_wal"+c.suffix), filepath.Join(data, "pg_wal"))
					unpack(t, filepath.Join(dir, oid+c.suffix), filepath.Join(data, "pg_tblspc", oid))
				}
				if major <= 16 {
					verifyBackup(t, major, true, "-m", filepath.Join(dir, "backup_manifest"), data)
				}
				// What pgbasin restores has the same files.
				again := filepath.Join(pgtest.TempDir(t), "again")
				run(t, pgbasin, "restore", "-ND", again, dir).quiet(t)
				restored := pgtest.StartDir(t, major, again, pgtest.Setting("allow_in_place_tablespaces", "on"))
				pgtest.SameSums(t, pgtest.Sums(t, restored), sums)
			})
		}
	})
}

// Labels may hold anything that fits into a line.
func TestLabel(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major)
		const label = `it's a "label"; \with'' everything -- ä`
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"-l", label}, label},
			{[]string{"--label=" + label}, label},
			{nil, "pg_basebackup base backup"},
		} {
			dir := filepath.Join(pgtest.TempDir(t), "backup")
			run(t, pgBasebackup, append(append(shortConnection(s), "-cfast", "-Xfetch", "-ND", dir), c.args...)...).quiet(t)
			content, err := os.ReadFile(filepath.Join(dir, "backup_label"))
			if err != nil || !strings.Contains(string(content), "\nLABEL: "+c.want+"\n") {
				t.Errorf("label %q: %v\n%s", c.want, err, content)
			}
		}
	})
}

// PostgreSQL's own tool accepts manifests with every algorithm.
func TestManifestChecksums(t *testing.T) {
	onMajors(t, []int{13, 15}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major)
		for i, algorithm := range []string{"NONE", "CRC32C", "SHA224", "SHA256", "sha384", "SHA512"} {
			for _, encode := range []bool{false, true} {
				dir := filepath.Join(pgtest.TempDir(t), "backup")
				args := backupTo(s, dir, "--manifest-checksums="+algorithm, "--json")
				if encode {
					args = append(args, "--manifest-force-encode")
				}
				if i%2 == 0 {
					args = append(args, "-Xfetch")
				}
				o := run(t, pgbasin, args...)
				o.succeeded(t)
				if r := parseReport(t, o.stdout); !r.Verified {
					t.Errorf("%s: not verified", algorithm)
				}
				verifyBackup(t, major, true, dir)
			}
		}
		t.Run("without a manifest", func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "backup")
			run(t, pgBasebackup, append(shortConnection(s), "-cfast", "--no-manifest", "-ND", dir)...).quiet(t)
			nothingAt(t, filepath.Join(dir, "backup_manifest"))
		})
	})
}
