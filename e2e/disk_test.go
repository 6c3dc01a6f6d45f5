//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// smallDisk mounts a file system of 12 MB, which takes root's rights and Linux.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir = pgtest.TempDir(t)
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return "", false
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=12m", "pgbasin-e2e", dir).CombinedOutput(); err != nil {
		t.Logf("no tmpfs can be mounted: %v: %s", err, out)
		return "", false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir, true
}

// A full disk ends the backup with an error that names the file, and the room
// is given back. Where nothing can be mounted, the limit on the size of files
// stands in for it.
func TestDiskFull(t *testing.T) {
	s := startSource(t, 18, sourceConfig{bytes: 15 << 20, rate: 30})
	for _, c := range []struct {
		name string
		args func(home string) []string
	}{
		{"plain", func(home string) []string { return []string{"-Fp", "-Xfetch", "-D", filepath.Join(home, "backup")} }},
		{"tar", func(home string) []string { return []string{"-Ft", "-Xfetch", "-D", filepath.Join(home, "backup")} }},
		{"tar.gz", func(home string) []string { return []string{"-Ft", "-z", "-D", filepath.Join(home, "backup")} }},
		{"tar.zst", func(home string) []string {
			return []string{"-Ft", "-Zzstd:1", "-Xfetch", "-D", filepath.Join(home, "backup")}
		}},
		{"WAL of a plain backup", func(home string) []string {
			return []string{"-Fp", "-D", filepath.Join(filepath.Dir(home), "roomy"), "--waldir", filepath.Join(home, "wal")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if home, ok := smallDisk(t); ok {
				precious := filepath.Join(home, "precious")
				if err := os.WriteFile(precious, make([]byte, 9<<20), 0o600); err != nil {
					t.Fatal(err)
				}
				args := append(shortConnection(s.Server), "-cfast")
				run(t, pgBasebackup, append(args, c.args(home)...)...).failed(t, "No space left on device", home)
				if names := tree(t, home); len(names) != 1 {
					t.Errorf("the disk holds %v, want what it held", names)
				}
				nothingAt(t, filepath.Join(filepath.Dir(home), "roomy"))
			}
		})
		t.Run(c.name+", file size limit", func(t *testing.T) {
			home := filepath.Join(pgtest.TempDir(t), "home")
			args := append([]string{"-c", `ulimit -f 2048 && exec "$@"`, "bash", pgBasebackup}, shortConnection(s.Server)...)
			args = append(append(args, "-cfast"), c.args(home)...)
			run(t, "bash", args...).failed(t, "File too large")
			nothingAt(t, home)
			nothingAt(t, filepath.Join(filepath.Dir(home), "roomy"))
		})
	}
	noSlots(t, s.Server)
}
