//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

// measurement is what one run of a program took, with its children.
type measurement struct {
	wall, cpu time.Duration
	memory    int64 // highest resident set, in bytes
	size      int64 // of the output, in bytes; 0 if it went to /dev/null
}

// measure runs a program whose temporary files go to dir and whose standard
// output goes to /dev/null.
func measure(ctx context.Context, dir, program string, args ...string) (measurement, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second

	started := time.Now()
	if err := cmd.Start(); err != nil {
		return measurement{}, err
	}
	peak := harness.WatchPeak(cmd.Process.Pid)
	err := cmd.Wait()
	m := measurement{wall: time.Since(started)}
	seen := peak()
	if ctx.Err() != nil {
		return m, context.Cause(ctx)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", program, err, stderr.Bytes())
	}
	m.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	m.memory = peakMemory(cmd.ProcessState, seen)
	return m, nil
}

// peakMemory is the highest resident set of a process that has ended, in bytes.
//
// What Linux accounts to a process includes what it was before it executed the
// program: this program's own memory. Where it is not above that, what was seen
// while the process ran is nearer to the truth.
func peakMemory(state *os.ProcessState, seen int64) int64 {
	usage := state.SysUsage().(*syscall.Rusage)
	peak := int64(usage.Maxrss)
	if runtime.GOOS == "linux" {
		peak <<= 10 // in kB there
	}
	if seen > 0 && peak <= harness.ResidentPeak(os.Getpid()) {
		return seen
	}
	return peak
}

// empty cuts the files of a backup to nothing, so that backups do not fill the
// disk, and returns what their sizes were in sum, in bytes.
func empty(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return os.Truncate(path, 0)
	})
	return size, err
}
