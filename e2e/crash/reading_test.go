//go:build linux && amd64

package crash

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/filetrace"
)

// What a disk cannot read is told, unless it was not needed: it is neither the end
// of a file nor content.
func TestEachErrorOfReadingIsTold(t *testing.T) {
	backup := madeUp(t)
	files := newPushes(t)
	files.push(t, nil, nil, segment(0), "none").succeeded(t)
	files.push(t, nil, nil, segment(1), "zstd").succeeded(t)
	stored := files.Log.Root
	for _, c := range []struct {
		name   string
		from   string // what is read
		status int
		args   func(to string) []string
	}{
		{"restore", backup, 1, func(to string) []string {
			return []string{"restore", "-N", "-D", to + "/data", "-T", "/srv/space=" + to + "/space", backup}
		}},
		{"verify", backup, 1, func(string) []string { return []string{"verify", "-n", backup} }},
		{"wal-push", files.dir, 1, func(to string) []string {
			return []string{"wal-push", "-Z", "zstd", "--to", to, filepath.Join(files.dir, segment(0))}
		}},
		{"wal-fetch", stored, 203, func(to string) []string {
			return []string{"wal-fetch", "--from", stored, segment(0), to + "/RECOVERYXLOG"}
		}},
		{"wal-fetch zstd", stored, 203, func(to string) []string {
			return []string{"wal-fetch", "--from", stored, segment(1), to + "/RECOVERYXLOG"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			good := record(t).Log.Root
			run(t, nil, nil, nil, c.args(good)...).succeeded(t)
			want := tree(t, good)
			for n := 1; ; n++ {
				to := record(t).Log.Root
				reads, at := 0, ""
				fail := func(call *filetrace.Call) {
					fd := 0
					switch call.Name {
					case "read", "pread64", "copy_file_range":
					case "sendfile":
						fd = 1
					default:
						return
					}
					if name := call.FDName(call.Int(fd)); strings.HasPrefix(name, c.from+"/") {
						if reads++; reads == n {
							call.Fail, at = unix.EIO, name
						}
					}
				}
				o := run(t, nil, fail, nil, c.args(to)...)
				if at == "" {
					o.succeeded(t)
					t.Logf("%d reads failed", n-1)
					if n == 1 {
						t.Error("nothing was read")
					}
					break
				}
				if o.Exit == 0 {
					if err := sameBelow(tree(t, to), to, want, good); err != nil {
						t.Errorf("read %d, of %s, failed: %v", n, at, err)
					}
					continue
				}
				if o.Exit != c.status || !strings.Contains(o.said, filepath.Base(at)) || !strings.Contains(strings.ToLower(o.said), "input/output error") {
					t.Errorf("read %d, of %s, failed: ended with %+v, saying\n%s", n, at, o.Status, o.said)
				}
				nothingLeft(t, to, fmt.Sprintf("read %d, of %s,", n, at))
			}
		})
	}
}

// sameBelow compares trees in different places, and links within them.
func sameBelow(got map[string]any, root string, want map[string]any, wantRoot string) error {
	moved := map[string]any{}
	for path, what := range want {
		if text, ok := what.(string); ok {
			what = strings.Replace(text, wantRoot, root, 1)
		}
		moved[strings.Replace(path, wantRoot, root, 1)] = what
	}
	for path := range got {
		if filepath.Base(path) == "tablespace_map" {
			moved[path] = got[path] // has the place in it
		}
	}
	return same(got, moved)
}
