//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A backup of 100 MB takes less memory than that, in every form.
func TestPeakMemory(t *testing.T) {
	path := pgbasin
	if race {
		// The race detector's own memory is not what is measured.
		path = filepath.Join(pgtest.TempDir(t), "pgbasin")
		build := exec.Command("go", "build", "-o", path, "github.com/pgbasin/pgbasin/cmd/pgbasin")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	s := pgtest.Start(t, 18)
	pgtest.Fill(t, s, 80<<20)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"plain", []string{"-Fp"}},
		{"tar", []string{"-Ft"}},
		{"tar.gz", []string{"-Ft", "-z"}},
		{"tar.zst", []string{"-Ft", "-Zzstd"}},
		{"tar.lz4", []string{"-Ft", "-Zlz4"}},
		{"plain, server-gzip", []string{"-Fp", "-Zserver-gzip:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := backupTo(s, filepath.Join(pgtest.TempDir(t), "backup"), "--json")
			p := &program{path: path, args: append(args, c.args...)}
			p.start(t)
			peak := watchPeak(p.cmd.Process.Pid)
			o := p.wait(t)
			o.succeeded(t)
			var whole int64 = 90 << 20
			if strings.Contains(c.name, "server-gzip") {
				whole /= 8
			}
			if r := parseReport(t, o.stdout); r.Bytes < whole {
				t.Errorf("the backup has %d bytes", r.Bytes)
			}
			n := peak()
			t.Logf("%.1f MiB", float64(n)/(1<<20))
			if n == 0 {
				t.Error("nothing was measured")
			}
			if n > 64<<20 {
				t.Errorf("peak memory is %.1f MiB, want at most 64", float64(n)/(1<<20))
			}
		})
	}
}

// watchPeak follows the peak memory of a running program and returns a function
// for the last figure, in bytes. What the system accounts to a process that has
// ended is of no use here: it counts what this process was when it forked.
func watchPeak(pid int) func() int64 {
	peak := make(chan int64, 1)
	go func() {
		var last int64
		for {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, rest, found := strings.Cut(string(status), "VmHWM:")
			if err != nil || !found {
				peak <- last // it has ended
				return
			}
			var kB int64
			fmt.Sscan(rest, &kB)
			last = kB << 10
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() int64 { return <-peak }
}
