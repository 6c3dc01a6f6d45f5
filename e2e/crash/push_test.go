//go:build linux && amd64

package crash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/powercut"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// pushes are files that a server hands over, in this order.
type pushes struct {
	*powercut.Recorder
	dir     string            // they are in
	content map[string][]byte // by name
	stored  []string          // names in the order in which pushes succeeded
}

func newPushes(t *testing.T) *pushes {
	t.Helper()
	p := &pushes{Recorder: record(t), dir: t.TempDir(), content: map[string][]byte{
		"00000002.history": []byte("1\t0/2000000\tno recovery target specified\n"),
	}}
	w := pgfake.WAL{Version: "18.0", SystemID: 1, Timeline: 1, SegmentSize: segmentSize}
	for i := range uint64(2) {
		start := walStart + lsn.LSN(i*segmentSize)
		p.content[segment(i)] = w.Bytes(start, start+segmentSize)
	}
	for name, content := range p.content {
		if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func segment(i uint64) string { return wal.SegmentName(1, 0x20+i, segmentSize) }

// push hands one file over.
func (p *pushes) push(t *testing.T, enter, leave hook, name, compression string) outcome {
	t.Helper()
	o := run(t, p.Recorder, enter, leave, "wal-push", "-Z", compression, "--to", p.Log.Root, filepath.Join(p.dir, name))
	if o.Exit == 0 {
		p.stored = append(p.stored, name)
	}
	return o
}

// check replays: a file that was pushed is in the archive in every state from
// then on, and no name has anything but its content.
func (p *pushes) check(t *testing.T, random int) {
	t.Helper()
	done := exits(p.Log)
	replay(t, p.Log, powercut.Plan{Random: random, Seed: 1, At: p.Log.Steps}, func(s *powercut.State) error {
		have := map[string]bool{}
		for _, stored := range s.List("") {
			algorithm := codec.ByName(stored)
			name := stored[:len(stored)-len(algorithm.Suffix())]
			want, ok := p.content[name]
			if !ok {
				continue // a temporary file
			}
			got, err := unpack(s, stored, algorithm)
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("%s is not what its name says: %d bytes, %v", stored, len(got), err)
			}
			have[name] = true
		}
		for _, name := range p.stored[:done[s.At]] {
			if !have[name] {
				return fmt.Errorf("%s was archived and is lost: there is %v", name, s.List(""))
			}
		}
		return nil
	})
}

func TestPowerCutDuringWALPush(t *testing.T) {
	p := newPushes(t)
	for _, file := range []struct{ name, compression string }{
		{segment(0), "none"}, {"00000002.history", "none"}, {segment(1), "zstd"}, {segment(0), "none"}, {segment(1), "gzip"},
	} {
		p.push(t, nil, nil, file.name, file.compression).succeeded(t)
	}
	p.check(t, 8)
}

// A push that is killed at any of its steps is repeated by the server; what that
// one finds, it makes durable before it says so.
func TestPowerCutAfterAKilledWALPush(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		for at := 1; ; at++ {
			p := newPushes(t)
			n := 0
			kill := func(c *filetrace.Call) {
				switch c.Name {
				case "write", "openat", "copy_file_range", "fsync", "renameat2", "unlinkat":
					n++
					c.Kill = n == at
				}
			}
			if o := p.push(t, nil, kill, segment(0), compression); o.Signal == 0 {
				t.Logf("%s: killed after each of %d steps", compression, at-1)
				break
			}
			p.push(t, nil, nil, segment(0), compression).succeeded(t)
			p.check(t, 2)
			if t.Failed() {
				t.Fatalf("%s: killed after step %d", compression, at)
			}
		}
	}
}
