//go:build linux

package receive

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

const patience = 120 * time.Second

// locked can be read while the program writes.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// receiver is a run of "pgbasin receive".
type receiver struct {
	cmd    *exec.Cmd
	stderr locked
	ended  chan struct{}
}

// to is where a server is, as options.
func to(s *pgtest.Server) []string {
	return []string{"-d", fmt.Sprintf("host=%s port=%d user=postgres", s.SocketDir(), s.Port())}
}

func start(t testing.TB, args ...string) *receiver {
	t.Helper()
	r := &receiver{cmd: exec.Command(pgbasin, append([]string{"receive", "-v"}, args...)...), ended: make(chan struct{})}
	r.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	r.cmd.Stderr = &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		r.cmd.Wait()
	}()
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("pgbasin %s:\n%s", strings.Join(r.cmd.Args[1:], " "), tail(r.stderr.String()))
		}
	})
	return r
}

func tail(s string) string {
	const most = 4000
	return s[max(0, len(s)-most):]
}

// kill ends the program as a crash does.
func (r *receiver) kill() {
	r.cmd.Process.Kill()
	<-r.ended
}

// status waits for the end and returns the exit status.
func (r *receiver) status(t testing.TB) int {
	t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the receiver has not ended:\n%s", tail(r.stderr.String()))
		return -1
	}
}

// stop ends the program as a service manager does, which must be a success.
func (r *receiver) stop(t testing.TB) {
	t.Helper()
	r.cmd.Process.Signal(syscall.SIGTERM)
	if status := r.status(t); status != 0 {
		t.Fatalf("exit status %d (%v):\n%s", status, r.cmd.ProcessState, tail(r.stderr.String()))
	}
}

func (r *receiver) says(t testing.TB, text string) {
	t.Helper()
	eventually(t, text, func() bool {
		if strings.Contains(r.stderr.String(), text) {
			return true
		}
		select {
		case <-r.ended:
			if !strings.Contains(r.stderr.String(), text) {
				t.Fatalf("the receiver ended without saying %q:\n%s", text, tail(r.stderr.String()))
			}
		default:
		}
		return false
	})
}

// eventually waits until the condition is met.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// runOnce runs a command that is about a slot and returns its exit status and
// what it said.
func runOnce(t testing.TB, args ...string) (int, string) {
	t.Helper()
	r := start(t, args...)
	status := r.status(t)
	return status, r.stderr.String()
}

// keep makes a server keep all WAL from now on, to compare with.
func keep(t testing.TB, s *pgtest.Server) {
	t.Helper()
	s.Exec(t, "select pg_create_physical_replication_slot('keep', true)")
}

func position(t testing.TB, s *pgtest.Server) lsn.LSN {
	t.Helper()
	pos, err := lsn.Parse(s.QueryString(t, "select pg_current_wal_flush_lsn()::text"))
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

func segmentSize(t testing.TB, s *pgtest.Server) int64 {
	t.Helper()
	return pgtest.Query[int64](t, s, "select pg_size_bytes(current_setting('wal_segment_size'))")
}

// switchWAL ends the server's segment and returns the name of it, its last whole
// one.
func switchWAL(t testing.TB, s *pgtest.Server) string {
	t.Helper()
	return s.QueryString(t, "select pg_walfile_name(pg_switch_wal())")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func waitFile(t testing.TB, path string) {
	t.Helper()
	eventually(t, path, func() bool { return exists(path) })
}

// compare holds every whole segment of an archive against the server's own, and
// makes sure that there is no gap on a timeline. It returns their names.
func compare(t testing.TB, s *pgtest.Server, dir string, algorithm codec.Algorithm) []string {
	t.Helper()
	size := segmentSize(t, s)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	last := map[uint32]uint64{}
	var names []string
	for _, e := range entries { // by name, so by number
		f, ok := wal.ParseFileName(e.Name(), size)
		if !ok || f.Partial {
			continue
		}
		if before, ok := last[f.Timeline]; ok && before+1 != f.Segment {
			t.Errorf("a gap before %s", e.Name())
		}
		last[f.Timeline] = f.Segment
		name := wal.SegmentName(f.Timeline, f.Segment, size)
		names = append(names, name)
		if f.Compression != algorithm.Suffix() {
			t.Errorf("%s is not compressed with %s", e.Name(), algorithm)
		}
		want, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", name))
		if err != nil {
			t.Errorf("the server has no %s to compare with: %v", name, err)
			continue
		}
		got, err := unpack(filepath.Join(dir, e.Name()), algorithm)
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the server's at byte %d of %d", e.Name(), firstDifference(got, want), len(want))
		}
	}
	if len(names) == 0 {
		t.Errorf("there is no segment in %v", slices.Sorted(maps.Keys(last)))
	}
	return names
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func unpack(path string, algorithm codec.Algorithm) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := codec.NewReader(f, algorithm)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}
