//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

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
			o := run(t, path, append(args, c.args...)...)
			o.succeeded(t)
			var whole int64 = 90 << 20
			if strings.Contains(c.name, "server-gzip") {
				whole /= 8
			}
			if r := parseReport(t, o.stdout); r.Bytes < whole {
				t.Errorf("the backup has %d bytes", r.Bytes)
			}
			peak := o.state.SysUsage().(*syscall.Rusage).Maxrss
			if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
				peak *= 1 << 10 // kB elsewhere
			}
			t.Logf("%.1f MiB", float64(peak)/(1<<20))
			if peak > 64<<20 {
				t.Errorf("peak memory is %.1f MiB, want at most 64", float64(peak)/(1<<20))
			}
		})
	}
}
