//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// readOnly makes a file system that cannot be written to, with an empty
// directory on it.
func readOnly(t *testing.T) (existing, missing string) {
	t.Helper()
	dir := pgtest.TempDir(t)
	if err := syscall.Mount("pgbasin-e2e", dir, "tmpfs", 0, "size=100m"); err != nil {
		t.Fatalf("a file system could not be mounted, which needs root and the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	existing = filepath.Join(dir, "existing")
	if err := os.Mkdir(existing, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	return existing, filepath.Join(dir, "missing")
}

// Where nothing can be written, and where files may not be as large as they must
// be, every command says so at once, with the name, and leaves nothing.
func TestReadOnlyDirectoriesAndFileSizeLimits(t *testing.T) {
	s := pgtest.Start(t, 18, pgtest.WALSegSize(1))
	s.Exec(t, "select pg_create_physical_replication_slot('archive', true)")
	dir := pgtest.TempDir(t)
	backup := filepath.Join(dir, "backup")
	run(t, pgbasin, backupTo(s, backup, "-Ft")...).quiet(t)
	s.Exec(t, "create table something (i int)")
	segment := filepath.Join(s.DataDir(), "pg_wal", s.QueryString(t, "select pg_walfile_name(pg_switch_wal())"))
	receive := func(dir string) []string {
		return append([]string{"receive", "-D", dir, "-S", "archive", "--synchronous", "--no-loop"}, longConnection(s)...)
	}
	before := s.QueryString(t, "select restart_lsn::text from pg_replication_slots")
	// Of receive the loss of the connection is a second error.
	receiveFails := func(o outcome, words ...string) {
		t.Helper()
		if o.status != 1 {
			t.Errorf("receive ends with %d", o.status)
		}
		for _, w := range words {
			if !strings.Contains(o.stderr, w) {
				t.Errorf("receive does not say %q:\n%s", w, o.stderr)
			}
		}
		if !pgtest.Query[bool](t, s, "select restart_lsn <= $1::text::pg_lsn from pg_replication_slots", before) {
			t.Error("receive acknowledged what it could not store")
		}
	}

	existing, missing := readOnly(t)
	for _, to := range []string{existing, missing} {
		const says = "Read-only file system"
		run(t, pgbasin, backupTo(s, to)...).failed(t, says, to)
		run(t, pgbasin, backupTo(s, to, "-Ft")...).failed(t, says, to)
		run(t, pgbasin, backupTo(s, filepath.Join(dir, "roomy"), "--waldir="+to)...).failed(t, says, to)
		nothingAt(t, filepath.Join(dir, "roomy"))
		run(t, pgbasin, "restore", "-D", to, backup).failed(t, says, to)
		run(t, pgbasin, "restore", "-D", filepath.Join(dir, "roomy"), "--waldir", to, backup).failed(t, says, to)
		nothingAt(t, filepath.Join(dir, "roomy"))
	}
	receiveFails(run(t, pgbasin, receive(existing)...), "Read-only file system", existing)
	run(t, pgbasin, "wal-push", "--to", existing, segment).failed(t, "Read-only file system", existing)

	limited := func(args ...string) outcome {
		return run(t, "bash", append([]string{"-c", `ulimit -f 512 && exec "$@"`, "bash", pgbasin}, args...)...)
	}
	archive := filepath.Join(dir, "archive")
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	limited("wal-push", "--to", archive, segment).failed(t, "File too large", archive)
	if names := tree(t, archive); len(names) != 0 {
		t.Errorf("wal-push left %v", names)
	}
	receiveFails(limited(receive(archive)...), "File too large", archive)
}
