//go:build linux && amd64

package crash

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/powercut"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

const (
	segmentSize = 1 << 20
	walStart    = lsn.LSN(0x20 * segmentSize)
)

// archive is a recording of what receives WAL of a fake server, from walStart on.
type archive struct {
	*powercut.Recorder
	s    *pgfake.Server
	args []string
	log  []byte // the server's, from walStart on
}

// newArchive makes one; the server's messages have so many bytes of WAL.
func newArchive(t *testing.T, chunk int, algorithm codec.Algorithm, options ...string) *archive {
	t.Helper()
	c := &pgfake.Cluster{
		Version: "18.0", Start: walStart, Flush: walStart + 3*segmentSize + 100_000, LogChunk: chunk,
		Slots: []pgfake.Slot{{Name: "archive", RestartLSN: walStart}},
	}
	a := &archive{s: pgfake.Serve(t, c), Recorder: record(t)}
	a.log = c.LogBytes(1, walStart, walStart+4*segmentSize)
	a.args = append([]string{"receive", "-d", a.s.ConnString(), "-D", a.Log.Root, "-S", "archive", "-Z", algorithm.String()}, options...)
	return a
}

// wal is the server's WAL of a range.
func (a *archive) wal(start, end lsn.LSN) []byte { return a.log[start-walStart : end-walStart] }

// run receives up to a position.
func (a *archive) run(t *testing.T, enter, leave hook, end lsn.LSN) outcome {
	t.Helper()
	return run(t, a.Recorder, enter, leave, append(a.args, "-E", end.String())...)
}

// acknowledged is the highest flush position that was sent before each event.
func acknowledged(t *testing.T, l *powercut.Log) []lsn.LSN {
	t.Helper()
	acked := make([]lsn.LSN, len(l.Events)+1)
	for i, e := range l.Events {
		acked[i+1] = acked[i]
		if e.Kind != powercut.Send {
			continue
		}
		// CopyData with a standby status update: write, flush and apply position.
		for p := e.Data; len(p) >= 5 && p[0] == 'd'; {
			n := 1 + int(binary.BigEndian.Uint32(p[1:]))
			if n == 39 && len(p) >= n && p[5] == 'r' {
				acked[i+1] = max(acked[i+1], lsn.LSN(binary.BigEndian.Uint64(p[14:])))
			}
			p = p[min(n, len(p)):]
		}
	}
	return acked
}

// check replays the recording: what was acknowledged is in every state, nothing
// has the name of a segment that is not whole and right, and another run goes on
// where there is no gap. It returns the last position that was acknowledged.
func (a *archive) check(t *testing.T, algorithm codec.Algorithm, random int) lsn.LSN {
	t.Helper()
	acked := acknowledged(t, a.Log)
	done := exits(a.Log)
	scratch := t.TempDir()
	ends := map[uint64]lsn.LSN{}
	replay(t, a.Log, powercut.Plan{Random: random, Seed: 1, At: a.Log.Steps}, func(s *powercut.State) error {
		end := acked[s.At]
		if done[s.At] > 0 && end <= walStart {
			return errors.New("the run ended without acknowledging anything")
		}
		for _, name := range s.List("") {
			f, ok := wal.ParseFileName(name, segmentSize)
			if ok && !f.Partial {
				got, err := unpack(s, name, algorithm)
				at := wal.SegmentStart(f.Segment, segmentSize)
				if want := a.wal(at, at+segmentSize); err != nil || !bytes.Equal(got, want) {
					return fmt.Errorf("%s is not what its name says: %d bytes, %v", name, len(got), err)
				}
			}
		}
		for at := walStart; at < end; at += segmentSize {
			want := a.wal(at, min(end, at+segmentSize))
			if !a.has(s, wal.SegmentName(1, wal.SegmentNumber(at, segmentSize), segmentSize), algorithm, want) {
				return fmt.Errorf("WAL up to %v was acknowledged, but that from %v on is not there: there is %v", end, at, s.List(""))
			}
		}
		return goesOn(s, scratch, algorithm, end, ends)
	})
	return acked[len(acked)-1]
}

func unpack(s *powercut.State, name string, algorithm codec.Algorithm) ([]byte, error) {
	b, err := s.ReadFile(name)
	if err != nil || algorithm == codec.None {
		return b, err
	}
	z, err := codec.NewReader(bytes.NewReader(b), algorithm)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}

// has tells whether a segment begins with these bytes in any of its files.
func (a *archive) has(s *powercut.State, name string, algorithm codec.Algorithm, want []byte) bool {
	name += algorithm.Suffix()
	for _, suffix := range []string{"", walstream.PartialSuffix, walstream.PartialSuffix + ".new"} {
		// A partial file that is compressed may end anywhere.
		got, _ := unpack(s, name+suffix, algorithm)
		if bytes.HasPrefix(got, want) {
			return true
		}
	}
	return false
}

// goesOn sees that another run would begin with WAL that the server still has: it
// keeps the segment of the flush position. ends are those of states that were
// looked at.
func goesOn(s *powercut.State, scratch string, algorithm codec.Algorithm, acked lsn.LSN, ends map[uint64]lsn.LSN) error {
	sum := s.Sum("")
	end, known := ends[sum]
	if !known {
		if err := clear(scratch); err != nil {
			return err
		}
		if err := store(s, scratch, algorithm); err != nil {
			return err
		}
		pos, err := walstream.ArchiveEnd(scratch, segmentSize, nil)
		if err != nil {
			return fmt.Errorf("another run does not begin: %w", err)
		}
		end, ends[sum] = pos.LSN, pos.LSN
	}
	keeps := acked - lsn.LSN(wal.SegmentOffset(acked, segmentSize))
	if acked > walStart && end < keeps {
		return fmt.Errorf("another run begins at %v, but the server keeps WAL from %v on", end, keeps)
	}
	return nil
}

// store makes files by which ArchiveEnd sees as much as by the real ones: of those
// that are not compressed it looks at the size.
func store(s *powercut.State, dir string, algorithm codec.Algorithm) error {
	if algorithm != codec.None {
		return s.Store(dir)
	}
	for _, name := range s.List("") {
		content, err := s.ReadFile(name)
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err == nil {
			err = os.Truncate(path, int64(len(content)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestPowerCutDuringReceive(t *testing.T) {
	for _, c := range []struct {
		algorithm codec.Algorithm
		options   []string
	}{
		{codec.None, nil},
		{codec.None, []string{"--synchronous"}},
		{codec.Gzip, nil},
		{codec.Zstd, []string{"--synchronous"}},
	} {
		t.Run(strings.Join(append([]string{c.algorithm.String()}, c.options...), " "), func(t *testing.T) {
			t.Parallel()
			a := newArchive(t, 90_000, c.algorithm, c.options...)
			end := walStart + 3*segmentSize + 50_000
			a.run(t, nil, nil, end-1).succeeded(t)
			if acked := a.check(t, c.algorithm, 4); acked < end {
				t.Errorf("acknowledged to %v, want %v", acked, end)
			}
		})
	}
}
