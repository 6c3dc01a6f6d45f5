//go:build linux

package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/wal"
)

const nobody = 65534

const segment5 = "000000010000000000000005"

// makeSegment makes a segment that does not compress, with a page header for
// segment5.
func makeSegment(t *testing.T, dir string, size int) string {
	t.Helper()
	b := make([]byte, size)
	for i := 0; i < len(b); i += sha256.Size {
		sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
		copy(b[i:], sum[:])
	}
	clear(b[:40])
	o := binary.NativeEndian
	o.PutUint16(b[0:], 0xD118)
	o.PutUint16(b[2:], 2)
	o.PutUint32(b[4:], 1)
	o.PutUint64(b[8:], uint64(5*size))
	o.PutUint32(b[32:], uint32(size))
	o.PutUint32(b[36:], 8192)
	path := filepath.Join(dir, segment5)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// However a push is killed, the archive has the whole segment or none, and the
// next push cleans up.
func TestKilledPushLeavesNothingHalf(t *testing.T) {
	path := makeSegment(t, t.TempDir(), 16<<20)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"wal-push", "-Z", "gzip:9", "--to", dir, path}
	for range 3 {
		push := exec.Command(pgbasin, args...)
		if err := push.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it writes", func() bool { return len(names(t, dir)) > 0 })
		push.Process.Kill()
		push.Wait()
		if exists(filepath.Join(dir, segment5+".gz")) {
			t.Fatal("the push was too quick to be killed")
		}
	}
	if got := names(t, dir); len(got) != 1 || wal.IsSegmentName(got[0]) {
		t.Fatalf("the archive has %v", got)
	}
	if status, stderr := run(t, args...); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if got := names(t, dir); len(got) != 1 || got[0] != segment5+".gz" {
		t.Errorf("the archive has %v", got)
	}
	to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	if status, stderr := run(t, "wal-fetch", "--from", dir, segment5, to); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("fetched %d bytes, %v", len(got), err)
	}
}

// A full disk is named, on both sides, and what was written is removed.
func TestFullDiskLeavesNothing(t *testing.T) {
	path := makeSegment(t, t.TempDir(), 16<<20)
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=3m"); err != nil {
		t.Fatalf("a small file system could not be mounted, which needs root and the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for _, compression := range []string{"none", "gzip:1", "lz4", "zstd"} {
		status, stderr := run(t, "wal-push", "-Z", compression, "--to", disk, path)
		if status != 1 || !strings.Contains(stderr, `could not archive "`+path+`": `) || !strings.Contains(stderr, "No space left on device") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit status %d: %s", compression, status, stderr)
		}
		if got := names(t, disk); len(got) != 0 {
			t.Errorf("%s: left behind: %v", compression, got)
		}
	}
	status, stderr := run(t, "wal-fetch", "--from", filepath.Dir(path), segment5, filepath.Join(disk, "RECOVERYXLOG"))
	if status != 203 || !strings.Contains(stderr, "No space left on device") {
		t.Errorf("wal-fetch: exit status %d: %s", status, stderr)
	}
	if got := names(t, disk); len(got) != 0 {
		t.Errorf("wal-fetch: left behind: %v", got)
	}
}

// What may not be read or written is named, and does not end recovery.
func TestMissingRightsAreNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root, to give its rights up")
	}
	home := pgtest.TempDir(t)
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody := func(args ...string) (int, string) {
		t.Helper()
		var said strings.Builder
		cmd := exec.Command(pgbasin, args...)
		cmd.Stderr = &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), said.String()
	}
	mkdir := func(name string, mode os.FileMode) string {
		dir := filepath.Join(home, name)
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	closed, readable := mkdir("closed", 0o700), mkdir("readable", 0o755)
	mine := mkdir("mine", 0o700)
	if err := os.Chown(mine, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	path := makeSegment(t, mine, 1<<20)
	secret := makeSegment(t, readable, 1<<20)
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(mine, "RECOVERYXLOG")
	for _, c := range []struct {
		status int
		words  string
		args   []string
	}{
		{1, `could not access WAL archive "` + closed + `": Permission denied`, []string{"wal-push", "--to", closed, path}},
		{1, `could not open file "` + secret + `": Permission denied`, []string{"wal-push", "--to", mine, secret}},
		{1, `could not open file "` + secret + `": Permission denied`, []string{"wal-push", "--to", readable, path}},
		{201, `could not access WAL archive "` + closed + `": Permission denied`, []string{"wal-fetch", "--from", closed, segment5, to}},
		{203, `could not open file "` + secret + `": Permission denied`, []string{"wal-fetch", "--from", readable, segment5, to}},
		{203, `Permission denied`, []string{"wal-fetch", "--from", mine, segment5, filepath.Join(readable, "x")}},
	} {
		if status, stderr := asNobody(c.args...); status != c.status || !strings.Contains(stderr, c.words) {
			t.Errorf("%q: exit status %d: %s", c.args, status, stderr)
		}
	}
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if status, stderr := asNobody("wal-push", "--to", readable, path); status != 1 || !strings.Contains(stderr, "could not create file") || !strings.Contains(stderr, "Permission denied") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}
