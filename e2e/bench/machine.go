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

	"golang.org/x/sys/unix"
)

// describe says on what machine, and what, is measured.
func (b *bench) describe(ctx context.Context) (string, error) {
	var about strings.Builder
	kernel := runtime.GOOS
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	fmt.Fprintf(&about, "%s, %d processors, %s, backups on %s\n", processor(), runtime.NumCPU(), kernel, fileSystem(b.dir))
	for _, program := range []string{b.pgbasin, b.reference} {
		version, err := exec.CommandContext(ctx, program, "--version").Output()
		if err != nil {
			return "", fmt.Errorf("%s --version: %w", program, err)
		}
		about.Write(version)
	}
	return about.String(), nil
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
