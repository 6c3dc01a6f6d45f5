//go:build linux && amd64

package crash

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/internal/powercut"
)

var pgbasin string

func TestMain(m *testing.M) {
	inMemory()
	os.Exit(harness.Main(m, false, func(dir string) error {
		pgbasin = filepath.Join(dir, "pgbasin")
		return nil
	}))
}

// inMemory has temporary files go to memory, if there is room: states of a disk
// are made by the thousand, and what a power cut may leave is computed, not tried.
func inMemory() {
	const memory, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &fs) == nil && int64(fs.Bavail)*fs.Bsize >= room {
		os.Setenv("TMPDIR", memory)
	}
}

// patience is how long a run of the program may take; none takes a hundredth of
// it on a machine that is not overloaded.
const patience = 120 * time.Second

// outcome is how a run of the program ended.
type outcome struct {
	filetrace.Status
	said string
}

// hook may change a call before it is recorded and carried out.
type hook func(c *filetrace.Call)

// run runs pgbasin. Everything that it does below the recorder's directory is
// recorded, if there is one.
func run(t testing.TB, r *powercut.Recorder, enter, leave hook, args ...string) outcome {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "said")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := filetrace.Program{
		Path: pgbasin, Args: args, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + filepath.Dir(out.Name())},
		Dir: "/", Output: out, Calls: append(slices.Clone(filetrace.Changes), "close", "read", "pread64"),
		Enter: func(c *filetrace.Call) error {
			if enter != nil {
				enter(c)
			}
			if r == nil || c.Name == "close" || strings.Contains(c.Name, "read") {
				return nil
			}
			return r.Enter(c)
		},
		Leave: func(c *filetrace.Call) error {
			if leave != nil {
				leave(c)
			}
			if r == nil || c.Data == nil {
				return nil
			}
			return r.Leave(c)
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, err := p.Run(ctx)
	said, readErr := os.ReadFile(out.Name())
	if err != nil || readErr != nil {
		t.Fatalf("pgbasin %s: %v, %v\n%s", strings.Join(args, " "), err, readErr, said)
	}
	return outcome{status, string(said)}
}

func (o outcome) succeeded(t testing.TB) {
	t.Helper()
	if o.Exit != 0 {
		t.Fatalf("ended with %+v:\n%s", o.Status, o.said)
	}
}

// record begins a recording in a new directory.
func record(t testing.TB) *powercut.Recorder {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := powercut.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exits counts the successful ends of runs before each event.
func exits(l *powercut.Log) []int {
	n := make([]int, len(l.Events)+1)
	for i, e := range l.Events {
		n[i+1] = n[i]
		if e.Kind == powercut.Exit && e.Status == 0 {
			n[i+1]++
		}
	}
	return n
}

// replay checks every state, and says how many there were.
func replay(t testing.TB, l *powercut.Log, p powercut.Plan, check func(s *powercut.State) error) {
	t.Helper()
	states, err := l.Replay(p, check)
	if err != nil {
		t.Errorf("%d events, %d states: %v", len(l.Events), states, err)
		return
	}
	t.Logf("%d events, %d states", len(l.Events), states)
}

// clear removes everything in a directory.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}
