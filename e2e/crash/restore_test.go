//go:build linux && amd64

package crash

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/powercut"
	"github.com/pgbasin/pgbasin/restore"
)

// madeUp is a backup of a small cluster with a tablespace at /srv/space.
func madeUp(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	s := pgfake.Serve(t, cluster(t, "/srv/space"))
	run(t, nil, nil, nil, "backup", "-Ft", "-N", "-d", s.ConnString(), "-D", dir).succeeded(t)
	return dir
}

// recordedRestore restores the backup into a new recording.
type recordedRestore struct {
	*powercut.Recorder
	o    restore.Options // of the same restore, without syncs
	args []string
}

func newRestore(t *testing.T, backup, method string) *recordedRestore {
	t.Helper()
	r := &recordedRestore{Recorder: record(t)}
	r.o = restore.Options{
		Backup: backup, DataDir: filepath.Join(r.Log.Root, "up", "data"), WALDir: filepath.Join(r.Log.Root, "wal"),
		Tablespaces: []restore.Mapping{{Old: "/srv/space", New: filepath.Join(r.Log.Root, "space")}}, Sync: restore.NoSync,
	}
	r.args = []string{"restore", "--sync-method=" + method, "-D", r.o.DataDir, "--waldir", r.o.WALDir,
		"-T", "/srv/space=" + r.o.Tablespaces[0].New, backup}
	return r
}

// check replays: a data directory with a pg_control is whole in every state; all
// others are put right by running the restore again; and one that was reported
// is there.
func (r *recordedRestore) check(t *testing.T, p powercut.Plan) {
	t.Helper()
	root := r.Log.Root
	want, done, seen, whole := tree(t, root), exits(r.Log), map[uint64]bool{}, 0
	replay(t, r.Log, p, func(s *powercut.State) error {
		complete := s.Exists("up/data/" + backupset.ControlName)
		if done[s.At] > 0 && !complete {
			return errors.New("the restore was reported and is lost")
		}
		if complete {
			whole++
		}
		sum := s.Sum("")
		if seen[sum] {
			return nil
		}
		seen[sum] = true
		// The marker of a restore tells its directories' names, so these must be
		// the same.
		if err := clear(root); err != nil {
			return err
		}
		if err := s.Store(root); err != nil {
			return err
		}
		if !complete {
			if err := restoreAgain(r.o); err != nil {
				return fmt.Errorf("it cannot be restored again: %w", err)
			}
		}
		return same(tree(t, root), want)
	})
	t.Logf("%d states whole, %d different ones", whole, len(seen))
	if whole == 0 || len(seen) < 2 {
		t.Error("there must be both")
	}
}

func TestPowerCutDuringARestore(t *testing.T) {
	backup := madeUp(t)
	for method, random := range map[string]int{"fsync": 1, "syncfs": 0} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r := newRestore(t, backup, method)
			run(t, r.Recorder, nil, nil, r.args...).succeeded(t)
			r.check(t, powercut.Plan{Random: random, Seed: 1, At: r.Log.Steps})
		})
	}
}

// What a killed restore left is not durable: the next one, which finds its
// directories, makes them so.
func TestPowerCutAfterAKilledRestore(t *testing.T) {
	backup := madeUp(t)
	for _, at := range []int{1, 2, 3, 4, 6, 9, 20, 60} {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			t.Parallel()
			r := newRestore(t, backup, "fsync")
			n := 0
			kill := func(c *filetrace.Call) {
				switch c.Name {
				case "mkdirat", "renameat", "fsync", "write":
					n++
					c.Kill = n == at
				}
			}
			if o := run(t, r.Recorder, nil, kill, r.args...); o.Signal == 0 {
				t.Fatalf("it was not killed: %+v", o)
			}
			run(t, r.Recorder, nil, nil, r.args...).succeeded(t)
			end := len(r.Log.Events)
			r.check(t, powercut.Plan{Random: 2, Seed: 1, At: func(n int) bool { return n%12 == 0 || n >= end-2 }})
		})
	}
}

func restoreAgain(o restore.Options) error {
	plan, err := restore.Prepare(context.Background(), o)
	if err != nil {
		return err
	}
	_, err = plan.Run(context.Background())
	return err
}

// tree is what is below a directory: digests of files, and where links lead. The
// marker of a restore that is done, which means nothing, is left out.
func tree(t *testing.T, root string) map[string]any {
	t.Helper()
	all := map[string]any{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == backupset.RestoreMarker {
			return err
		}
		switch d.Type() {
		case fs.ModeDir:
			all[path] = "a directory"
		case fs.ModeSymlink:
			all[path], err = os.Readlink(path)
		default:
			var content []byte
			content, err = os.ReadFile(path)
			all[path] = maphash.Bytes(seed, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var seed = maphash.MakeSeed()

func same(got, want map[string]any) error {
	for path := range want {
		if got[path] != want[path] {
			return fmt.Errorf("%s is not what it was", path)
		}
	}
	for path := range got {
		if want[path] == nil {
			return fmt.Errorf("%s is too many", path)
		}
	}
	return nil
}
