package main

import (
	"runtime"
	"strings"
	"testing"
)

func TestPeakMemoryIsTheProgramsOwn(t *testing.T) {
	// More than a sleeping process needs, and accounted to every child.
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	b := &bench{dir: t.TempDir()}
	m, err := b.measure(t.Context(), "/bin/sleep", "0.2")
	if err != nil {
		t.Fatal(err)
	}
	if m.memory == 0 || m.memory > 32<<20 {
		t.Errorf("got %d bytes for sleep", m.memory)
	}
	runtime.KeepAlive(ballast)
}

func TestFileSystemOfTheLongestMountPoint(t *testing.T) {
	if got := fileSystem("/proc/self"); !strings.HasPrefix(got, "proc ") {
		t.Errorf("of /proc: got %s", got)
	}
}
