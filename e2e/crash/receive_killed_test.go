//go:build linux && amd64

package crash

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/walstream"
)

// A run that was killed at any of its steps leaves an archive that the next run
// goes on with, and that one acknowledges nothing that a power cut could take.
func TestPowerCutAfterAKilledReceive(t *testing.T) {
	for _, algorithm := range []codec.Algorithm{codec.None, codec.Zstd} {
		t.Run(algorithm.String(), func(t *testing.T) {
			t.Parallel()
			points := 0
			for at := 1; ; at++ {
				a := newArchive(t, 250_000, algorithm, "--synchronous")
				n := 0
				kill := func(c *filetrace.Call) {
					if a.steps(c) {
						n++
						c.Kill = n == at
					}
				}
				end := walStart + segmentSize + 50_000
				if o := a.run(t, nil, kill, end-1); o.Signal == 0 {
					break // the run has no more steps
				}
				points++
				a.run(t, nil, nil, end+segmentSize-1).succeeded(t)
				if acked := a.check(t, algorithm, 1); acked < end+segmentSize {
					t.Errorf("killed after step %d: acknowledged to %v, want %v", at, acked, end+segmentSize)
				}
				if t.Failed() {
					t.Fatalf("killed after step %d", at)
				}
			}
			t.Logf("killed after each of %d steps", points)
		})
	}
}

// steps tells calls that change names, or sync, from others.
func (a *archive) steps(c *filetrace.Call) bool {
	switch c.Name {
	case "renameat", "renameat2", "unlinkat", "ftruncate", "fallocate":
		return true
	case "fsync", "fdatasync":
		return strings.HasPrefix(c.FDName(c.Int(0)), a.Log.Root)
	case "openat":
		name, err := c.String(1)
		const create = 0o100
		return err == nil && c.Args[2]&create != 0 && filepath.Dir(name) == a.Log.Root
	}
	return false
}

// What killed runs had written, and not synced, may not stand in for what the
// next one has acknowledged.
func TestPowerCutAfterAShorterReceive(t *testing.T) {
	// In bytes of files: the fake server's WAL is compressed to a fifth.
	for algorithm, most := range map[codec.Algorithm][]int{codec.None: {100_000, 900_000}, codec.Zstd: {40_000, 200_000}} {
		t.Run(algorithm.String(), func(t *testing.T) {
			t.Parallel()
			a := newArchive(t, 90_000, algorithm)
			args := a.args
			for i, most := range most {
				written := 0
				kill := func(c *filetrace.Call) {
					if c.Name != "openat" && strings.Contains(c.FDName(c.Int(0)), walstream.PartialSuffix) && c.Result > 0 {
						written += int(c.Result)
						c.Kill = written > most
					}
				}
				if a.args = args; i == 0 {
					a.args = append(args, "--synchronous")
				}
				if o := a.run(t, nil, kill, walStart+segmentSize-1); o.Signal == 0 {
					t.Fatalf("it was not killed: %d bytes were written", written)
				}
			}
			a.args = append(args, "--synchronous")
			end := walStart + 700_000
			a.run(t, nil, nil, end-1).succeeded(t)
			if acked := a.check(t, algorithm, 4); acked < end {
				t.Errorf("acknowledged to %v, want %v", acked, end)
			}
		})
	}
}
