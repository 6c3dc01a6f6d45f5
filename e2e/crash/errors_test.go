//go:build linux && amd64

package crash

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// target names the file that a call is about to make or change, and the error
// that it shall return: that of a full disk, of a read-only or a broken one.
func target(c *filetrace.Call) (path string, errno syscall.Errno) {
	at := func(dirfd, name int) string {
		text, err := c.String(name)
		if err != nil {
			return ""
		}
		if path = c.Path(c.Int(dirfd), text); strings.HasPrefix(path, "/proc/") {
			dir, err := os.Readlink(filepath.Dir(path))
			if err != nil {
				return ""
			}
			path = filepath.Join(dir, filepath.Base(path))
		}
		return path
	}
	switch c.Name {
	case "write", "pwrite64", "fallocate":
		if c.FDWritable(c.Int(0)) {
			return c.FDName(c.Int(0)), unix.ENOSPC
		}
	case "copy_file_range":
		return c.FDName(c.Int(2)), unix.ENOSPC
	case "ftruncate":
		return c.FDName(c.Int(0)), unix.EIO
	case "close":
		if c.FDWritable(c.Int(0)) {
			return c.FDName(c.Int(0)), unix.EIO
		}
	case "openat":
		if c.Args[2]&unix.O_CREAT != 0 {
			return at(0, 1), unix.EROFS
		}
	case "mkdirat":
		return at(0, 1), unix.EROFS
	case "renameat":
		return at(2, 3), unix.EIO
	case "renameat2":
		return at(2, 3), unix.EIO
	case "symlinkat":
		return at(1, 2), unix.EIO
	}
	return "", 0
}

// breaking fails the first call of one kind on one file below a directory.
type breaking struct {
	root string
	fail string // "write /base/1/1259"
	seen []string
	hit  syscall.Errno
}

func (b *breaking) enter(c *filetrace.Call) {
	path, errno := target(c)
	name, ok := strings.CutPrefix(path, b.root)
	if !ok || path == "" {
		return
	}
	name = c.Name + " " + randomNames.ReplaceAllString(name, ".pgbasin-N")
	if slices.Contains(b.seen, name) {
		return
	}
	b.seen = append(b.seen, name)
	if name != b.fail {
		return
	}
	if b.hit = errno; c.Name == "close" {
		c.FailAfter = errno // it is closed all the same
	} else {
		c.Fail = errno
	}
}

// sweep runs something once, and then once for each call of it that can fail:
// the error must be told, with an exit status of 1 and nothing left behind.
// allowed are beginnings of calls whose errors do no harm.
func sweep(t *testing.T, command func(b *breaking) outcome, allowed ...string) {
	t.Helper()
	good := &breaking{}
	command(good).succeeded(t)
	failed := 0
	for _, call := range good.seen {
		b := &breaking{fail: call}
		o := command(b)
		harmless := slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(call, a) })
		switch {
		case b.hit == 0:
			o.succeeded(t)
			continue
		case o.Exit == 0 && harmless && strings.Contains(strings.ToLower(o.said), b.hit.Error()):
		case o.Exit != 1 || !strings.Contains(strings.ToLower(o.said), b.hit.Error()) || !strings.Contains(o.said, b.root):
			t.Errorf("%s failed with %q: ended with %+v, saying\n%s", call, b.hit.Error(), o.Status, o.said)
		default:
			nothingLeft(t, b.root, call)
		}
		failed++
	}
	t.Logf("%d calls failed", failed)
	if failed < len(good.seen)-3 {
		t.Errorf("%d of %d calls failed", failed, len(good.seen))
	}
}

func TestEachErrorOfTheFileSystemIsTold(t *testing.T) {
	backup := madeUp(t)
	push := func(compression string) func(t *testing.T, b *breaking) outcome {
		return func(t *testing.T, b *breaking) outcome {
			p := newPushes(t)
			b.root = p.Log.Root
			o := p.push(t, b.enter, nil, segment(0), compression)
			if o.Exit != 0 && strings.HasPrefix(b.fail, "close ") {
				// It has its name and is durable: the next push says so.
				p.push(t, nil, nil, segment(0), compression).succeeded(t)
				p.check(t, 0)
				if err := clear(b.root); err != nil {
					t.Fatal(err)
				}
			}
			return o
		}
	}
	for _, c := range []struct {
		name    string
		run     func(t *testing.T, b *breaking) outcome
		allowed []string
	}{
		{"backup plain", func(t *testing.T, b *breaking) outcome {
			b.root = record(t).Log.Root
			s := pgfake.Serve(t, cluster(t, ""))
			return run(t, nil, b.enter, nil, "backup", "-d", s.ConnString(), "-D", filepath.Join(b.root, "up", "backup"), "--waldir", b.root+"/wal")
		}, nil},
		{"backup tar", func(t *testing.T, b *breaking) outcome {
			b.root = record(t).Log.Root
			s := pgfake.Serve(t, cluster(t, "/srv/space"))
			return run(t, nil, b.enter, nil, "backup", "-Ft", "-Zlz4", "-d", s.ConnString(), "-D", filepath.Join(b.root, "up", "backup"))
		}, nil},
		{"restore", func(t *testing.T, b *breaking) outcome {
			r := newRestore(t, backup, "fsync")
			b.root = r.Log.Root
			return run(t, nil, b.enter, nil, r.args...)
		}, nil},
		{"receive", func(t *testing.T, b *breaking) outcome {
			a := newArchive(t, 250_000, codec.None, "--no-loop")
			b.root = a.Log.Root
			o := a.run(t, b.enter, nil, walStart+segmentSize+300_000)
			// A partial segment is there to be gone on with.
			if err := clear(b.root); err != nil {
				t.Fatal(err)
			}
			return o
		}, []string{"fallocate ", "pwrite64 "}}, // it waits for room
		{"wal-push", push("none"), nil},
		{"wal-push zstd", push("zstd"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sweep(t, func(b *breaking) outcome { return c.run(t, b) }, c.allowed...)
		})
	}
}
