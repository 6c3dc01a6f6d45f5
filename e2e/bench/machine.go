//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// describe says on what machine, and what, is measured.
func (b *bench) describe(ctx context.Context) ([]string, error) {
	kernel := runtime.GOOS
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	about := []string{
		time.Now().UTC().Format(time.DateOnly),
		fmt.Sprintf("%s, %d processors, %s", processor(), runtime.NumCPU(), kernel),
		memory() + ", backups on " + fileSystem(b.dir),
	}
	for _, command := range [][]string{{b.pgbasin, "--version"}, {b.theirs.basebackup, "--version"}, {"zstd", "--version"}, {"tar", "--version"}, {"cp", "--version"}} {
		// What macOS has does not know the option.
		if line, err := firstLine(ctx, command); err == nil {
			about = append(about, line)
		} else if filepath.IsAbs(command[0]) {
			return nil, err
		}
	}
	chained, err := pgtest.Installation(chainMajor)
	if err != nil {
		return nil, err
	}
	return append(about, "chains of backups of PostgreSQL "+chained.Version), nil
}

// firstLine is that of what a command prints.
func firstLine(ctx context.Context, command []string) (string, error) {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("%q: %w", command, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.Trim(line, "* "), nil
}

// memory says how much the machine has.
func memory() string {
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(info)) {
		var kB int64
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kB); err == nil {
			return fmt.Sprintf("%.0f GiB of memory", float64(kB)/(1<<20))
		}
	}
	return "an unknown size of memory"
}

// processor is the name of the first processor's model.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// fileSystem names the type and the device of the file system that holds dir.
func fileSystem(dir string) string {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "an unknown file system"
	}
	name, longest := "an unknown file system", -1
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range bytes.Lines(mounts) {
		// proc(5): six fields, optional ones, and after a dash type and device.
		before, after, _ := strings.Cut(string(line), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 2 {
			continue
		}
		point := left[4]
		if rel, err := filepath.Rel(point, dir); err != nil || !filepath.IsLocal(rel) {
			continue
		}
		// Of two on the same point the later one covers the other.
		if len(point) >= longest {
			name, longest = right[0]+" ("+right[1]+")", len(point)
		}
	}
	return name
}
