//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// What does not fit is refused before anything is written. What turns out not to
// fit, because nothing told its size, ends with an error that names the file, and
// the room is given back.
func TestRestoreToAFullDisk(t *testing.T) {
	s := startSource(t, 15, sourceConfig{bytes: 5 << 20, rate: 10})
	dir := pgtest.TempDir(t)
	backup := filepath.Join(dir, "backup")
	run(t, pgbasin, append([]string{"backup", "-Ft", "-Zzstd", "-cfast", "-N", "-D", backup}, shortConnection(s.Server)...)...).succeeded(t)

	home, ok := smallDisk(t)
	if ok {
		run(t, pgbasin, "restore", "-D", filepath.Join(home, "data"), backup).failed(t, "not enough space on the file system", "bytes are needed", home)
		run(t, pgbasin, "restore", "-D", filepath.Join(dir, "data"), "--waldir", filepath.Join(home, "wal"), backup).failed(t, "not enough space", filepath.Join(home, "wal"))
		if names := tree(t, home); len(names) != 0 {
			t.Errorf("the disk holds %v", names)
		}
		nothingAt(t, filepath.Join(dir, "data"))

		// Without a manifest a compressed tar on standard input does not tell.
		o := run(t, "bash", "-c", `exec "$1" restore -D "$2" - <"$3"`, "bash", pgbasin, filepath.Join(home, "data"), filepath.Join(backup, "base.tar.zst"))
		o.failed(t, "No space left on device", home)
		if names := tree(t, home); len(names) != 0 {
			t.Errorf("the disk holds %v", names)
		}
	}
	data := filepath.Join(dir, "limited")
	run(t, "bash", "-c", `ulimit -f 1024 && exec "$@"`, "bash", pgbasin, "restore", "-D", data, backup).failed(t, "File too large", data)
	nothingAt(t, data)
	if _, err := os.Stat(filepath.Join(backup, "backup_manifest")); err != nil {
		t.Error(err)
	}
}
