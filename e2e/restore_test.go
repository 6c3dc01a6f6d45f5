//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// unpack unpacks one tar file into a directory with the programs that anyone
// has. name ends as the file does.
func unpack(t *testing.T, file, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tools := map[string]string{".tar": "cat", ".gz": "gzip", ".zst": "zstd", ".lz4": "lz4"}
	decompress, ok := tools[filepath.Ext(file)]
	if !ok {
		t.Fatalf("%s has no known ending", file)
	}
	script := `set -o pipefail; cat "$1" | tar -xpf - -C "$2"`
	if decompress != "cat" {
		script = `set -o pipefail; ` + decompress + ` -dc "$1" | tar -xpf - -C "$2"`
	}
	tool(t, "bash", "-c", script, "bash", file, dir)
}

// restoreTar unpacks a tar format backup into a data directory, with the
// tablespaces next to it. A restorer does by hand what pg_basebackup's manual
// says: tablespaces to where tablespace_map says, pg_wal.tar into pg_wal.
func restoreTar(t *testing.T, backup, dir string) {
	t.Helper()
	entries, err := os.ReadDir(backup)
	if err != nil {
		t.Fatal(err)
	}
	var base, wal string
	spaces := map[string]string{}
	oid := regexp.MustCompile(`^([1-9][0-9]*)\.tar`)
	for _, e := range entries {
		path := filepath.Join(backup, e.Name())
		switch m := oid.FindStringSubmatch(e.Name()); {
		case strings.HasPrefix(e.Name(), "base.tar"):
			base = path
		case strings.HasPrefix(e.Name(), "pg_wal.tar"):
			wal = path
		case m != nil:
			spaces[m[1]] = path
		case e.Name() == "backup_manifest":
		default:
			t.Errorf("the backup holds %s", path)
		}
	}
	if base == "" {
		t.Fatalf("no base.tar in %s: %v", backup, entries)
	}
	unpack(t, base, dir)
	if wal != "" {
		unpack(t, wal, filepath.Join(dir, "pg_wal"))
	}
	for oid, file := range spaces {
		space := dir + "-space-" + oid
		unpack(t, file, space)
		if err := os.Symlink(space, filepath.Join(dir, "pg_tblspc", oid)); err != nil {
			t.Fatal(err)
		}
	}
}

// remap makes tablespace_map name the places that restoreTar chose.
func remap(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "tablespace_map")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for line := range strings.Lines(string(old)) {
		oid, _, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("tablespace_map has the line %q", line)
		}
		fmt.Fprintf(&b, "%s %s-space-%s\n", oid, dir, oid)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

var startFile = regexp.MustCompile(`(?m)^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$`)

// giveWAL copies the server's own WAL into a backup without any, as a
// restore_command would.
func giveWAL(t *testing.T, s *pgtest.Server, dir string) {
	t.Helper()
	label, err := os.ReadFile(filepath.Join(dir, "backup_label"))
	if err != nil {
		t.Fatal(err)
	}
	m := startFile.FindSubmatch(label)
	if m == nil {
		t.Fatalf("backup_label has no start:\n%s", label)
	}
	last := s.QueryString(t, "select pg_walfile_name(pg_current_wal_lsn())")
	segments, err := filepath.Glob(filepath.Join(s.DataDir(), "pg_wal", "0*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range segments {
		name := filepath.Base(segment)
		if name < string(m[1]) || name > last || len(name) != 24 {
			continue
		}
		content, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "pg_wal", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startAndCompare starts a restored backup on the major it came from and
// compares its data with the source's sums and with what had been committed
// before the backup began.
func startAndCompare(t *testing.T, source *pgtest.Server, dir string, want map[string]string, committed int64) {
	t.Helper()
	s := pgtest.StartDir(t, source.Major(), dir)
	// The time that a clean shutdown takes is better spent elsewhere.
	defer s.Kill()
	compare(t, s, want, committed)
}

func compare(t *testing.T, s *pgtest.Server, want map[string]string, committed int64) {
	t.Helper()
	if got := pgtest.CheckBalances(t, s); got < committed {
		t.Errorf("%d transactions in the restored cluster, %d were committed before the backup began", got, committed)
	}
	pgtest.SameSums(t, pgtest.Sums(t, s), want)
}

// verifyBackup checks a backup with PostgreSQL 15's own tool, which can read
// manifests of version 1. It parses WAL of version 15 only.
func verifyBackup(t *testing.T, major int, wal bool, args ...string) {
	t.Helper()
	if major != 15 || !wal {
		args = append([]string{"-n"}, args...)
	}
	in, err := pgtest.Installation(15)
	if err != nil {
		t.Fatal(err)
	}
	tool15, err := in.Path("pg_verifybackup")
	if err != nil {
		tool15 = "/usr/lib/postgresql/15/bin/pg_verifybackup"
	}
	if out, err := exec.Command(tool15, args...).CombinedOutput(); err != nil {
		t.Errorf("pg_verifybackup %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// nothingAt fails the test if there is anything at a path.
func nothingAt(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s is left: %v", path, tree(t, path))
	}
}

// tree lists what is below a directory.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if rel, _ := filepath.Rel(root, path); rel != "." {
			names = append(names, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
