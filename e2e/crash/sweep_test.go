//go:build linux && amd64

package crash

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/powercut"
	"github.com/pgbasin/pgbasin/lsn"
)

// syncs tells the calls of which one fails in each run of a sweep.
func syncs(c *filetrace.Call) bool {
	return c.Name == "fsync" || c.Name == "fdatasync" || c.Name == "syncfs"
}

// points finds out which calls of a kind a run makes below a directory: files
// are synced in an order of their own in each run, so that a call is named by its
// file, and by how many times that was the object of such a call before.
type points struct {
	root  string
	calls func(c *filetrace.Call) bool
	fail  string // the point whose call fails
	errno syscall.Errno

	seen map[string]int
	at   string // full path of the file whose call failed
}

var randomNames = regexp.MustCompile(`\.pgbasin-(push\.)?[0-9A-Z]+`)

func (p *points) enter(c *filetrace.Call) {
	if !p.calls(c) {
		return
	}
	path := c.FDName(c.Int(0))
	name, ok := strings.CutPrefix(path, p.root)
	if !ok {
		return
	}
	name = c.Name + " " + randomNames.ReplaceAllString(name, ".pgbasin-N")
	if p.seen == nil {
		p.seen = map[string]int{}
	}
	p.seen[name]++
	if fmt.Sprintf("%s, %d", name, p.seen[name]) == p.fail {
		c.Fail, p.at = p.errno, path
	}
}

// all lists what was seen.
func (p *points) all() (list []string) {
	for name, n := range p.seen {
		for i := range n {
			list = append(list, fmt.Sprintf("%s, %d", name, i+1))
		}
	}
	slices.Sort(list)
	return list
}

// named fails the test unless the program ended with 1 and said which file could
// not be synced, and why.
func (p *points) named(t *testing.T, o outcome) {
	t.Helper()
	if o.Exit != 1 || !strings.Contains(o.said, p.at) || !strings.Contains(strings.ToLower(o.said), "input/output error") {
		t.Errorf("%s failed: ended with %+v, saying\n%s", p.fail, o.Status, o.said)
	}
}

// nothingLeft fails the test if there is anything below a directory.
func nothingLeft(t *testing.T, root, after string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s failed: %s was left", after, e.Name())
	}
}

// No sync of a backup may fail without the backup failing, and nothing is left
// of one then.
func TestBackupFailsWithEachOfItsSyncs(t *testing.T) {
	for _, c := range []struct {
		name    string
		cluster *pgfake.Cluster
		options []string
	}{
		{"plain", cluster(t, "/srv/space"), []string{"-Fp", "-T", "/srv/space=ROOT/space"}},
		{"plain, WAL elsewhere", cluster(t, ""), []string{"-Fp", "--waldir=ROOT/wal", "--sync-method=syncfs"}},
		{"tar", cluster(t, "/srv/space"), []string{"-Ft"}},
		{"tar.zst, before 13", old(t), []string{"-Ft", "-Zzstd", "-Xnone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pgfake.Serve(t, c.cluster)
			backup := func(p *points) outcome {
				p.root = record(t).Log.Root
				args := []string{"backup", "-d", s.ConnString(), "-D", filepath.Join(p.root, "up", "backup")}
				for _, o := range c.options {
					args = append(args, strings.ReplaceAll(o, "ROOT", p.root))
				}
				return run(t, nil, p.enter, nil, args...)
			}
			good := &points{calls: syncs}
			backup(good).succeeded(t)
			failed := 0
			for _, point := range good.all() {
				p := &points{calls: syncs, fail: point, errno: syscall.EIO}
				o := backup(p)
				if p.at == "" {
					o.succeeded(t) // the WAL's progress is synced more or less often
					continue
				}
				failed++
				p.named(t, o)
				nothingLeft(t, p.root, point)
			}
			t.Logf("%d syncs failed", failed)
			if failed < len(good.all())-2 {
				t.Errorf("%d syncs failed of %d", failed, len(good.all()))
			}
		})
	}
}

// The same of a restore, but that what fails after pg_control has its name is
// told and does no harm.
func TestRestoreFailsWithEachOfItsSyncs(t *testing.T) {
	backup := madeUp(t)
	for _, method := range []string{"fsync", "syncfs"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r := newRestore(t, backup, method)
			good := &points{root: r.Log.Root, calls: syncs}
			run(t, nil, good.enter, nil, r.args...).succeeded(t)
			warned := 0
			for _, point := range good.all() {
				r := newRestore(t, backup, method)
				p := &points{root: r.Log.Root, calls: syncs, fail: point, errno: syscall.EIO}
				o := run(t, r.Recorder, p.enter, nil, r.args...)
				if o.Exit == 0 && strings.Contains(o.said, "could not remove file") {
					warned++
					r.check(t, powercut.Plan{At: func(n int) bool { return n == len(r.Log.Events) }})
					continue
				}
				p.named(t, o)
				nothingLeft(t, p.root, point)
			}
			t.Logf("%d syncs failed", len(good.all()))
			if warned != 3 {
				t.Errorf("%d failures were only warned of, want those after the removal of three markers", warned)
			}
		})
	}
}

// After a failed sync nothing that was written before is acknowledged, although
// the next sync succeeds. What was acknowledged is there; the next run goes on.
func TestReceiveFailsWithEachOfItsSyncs(t *testing.T) {
	for _, c := range []struct {
		algorithm codec.Algorithm
		options   []string
	}{
		{codec.None, nil},
		{codec.None, []string{"--synchronous"}},
		{codec.Zstd, []string{"--synchronous"}},
	} {
		t.Run(strings.Join(append([]string{c.algorithm.String()}, c.options...), " "), func(t *testing.T) {
			t.Parallel()
			failures := map[string]int{}
			// How the server's messages are divided into batches, and so how many
			// syncs there are, is different in each run.
			for n := 1; ; n++ {
				a := newArchive(t, 250_000, c.algorithm, c.options...)
				count, at := 0, ""
				fail := func(call *filetrace.Call) {
					if name := call.FDName(call.Int(0)); syncs(call) && strings.HasPrefix(name, a.Log.Root) {
						if count++; count == n {
							call.Fail, at = syscall.EIO, name
						}
					}
				}
				o := a.run(t, fail, nil, walStart+segmentSize+300_000)
				if at == "" {
					break
				}
				p := points{at: at, fail: fmt.Sprintf("sync %d", n)}
				p.named(t, o)
				failures[filepath.Base(at)]++
				end := walStart + 2*segmentSize + lsn.LSN(100_000)
				a.run(t, nil, nil, end-1).succeeded(t)
				if acked := a.check(t, c.algorithm, 0); acked < end {
					t.Errorf("acknowledged to %v, want %v", acked, end)
				}
				if t.Failed() {
					t.Fatalf("%s failed: %s", p.fail, o.said)
				}
			}
			t.Logf("syncs failed: %v", slices.Sorted(maps.Keys(failures)))
			if len(failures) < 3 {
				t.Error("not all kinds of syncs were met")
			}
		})
	}
}

func TestWALPushFailsWithEachOfItsSyncs(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		for _, again := range []bool{false, true} {
			files := newPushes(t)
			if again {
				files.push(t, nil, nil, segment(0), compression).succeeded(t)
			}
			good := &points{root: files.Log.Root, calls: syncs}
			files.push(t, good.enter, nil, segment(0), compression).succeeded(t)
			if len(good.all()) != 2 {
				t.Fatalf("syncs are %v", good.all())
			}
			for _, point := range good.all() {
				files := newPushes(t)
				if again {
					files.push(t, nil, nil, segment(0), compression).succeeded(t)
				}
				p := &points{root: files.Log.Root, calls: syncs, fail: point, errno: syscall.EIO}
				p.named(t, files.push(t, p.enter, nil, segment(0), compression))
				files.push(t, nil, nil, segment(0), compression).succeeded(t)
				files.check(t, 2)
				if t.Failed() {
					t.Fatalf("%s, already there %v", point, again)
				}
			}
		}
	}
}
