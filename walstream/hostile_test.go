package walstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/peak"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

// branched is a server on timeline 3, whose first two ended in segments 2 and 3.
func branched(tamper pgfake.Tamper) *pgfake.Cluster {
	c := cluster(4*segmentSize + 100000)
	c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: 2*segmentSize + 8192*3 + 40}, {Timeline: 2, Switch: 3*segmentSize + 8192*5 + 80}}
	c.Tamper = tamper
	return c
}

// The lies that fake_test.go has not: a server that does not fit, WAL that is not
// where it should be.
func TestEveryLieInAStreamOfWALIsAnErrorThatNamesIt(t *testing.T) {
	first := pgfake.At{Part: pgfake.PartWAL, N: 0}
	history := pgfake.At{Command: "TIMELINE_HISTORY", Part: pgfake.PartResult, N: 1}
	ended := pgfake.At{Part: pgfake.PartTimeline, N: 1}
	// The history of timeline 2 as it should be is the first of these lines.
	const honest = "1\t0/206028\tno recovery target specified\n"
	lies := []struct {
		name   string
		tamper pgfake.Tamper
		want   string
	}{
		{"WAL that overlaps what came", pgfake.Replace(pgfake.At{Part: pgfake.PartWAL, N: 1}, pgfake.XLogData(segmentSize+8192, 2*segmentSize, make([]byte, 256<<10))), "got WAL data offset 00002000, expected 00020000"},
		{"WAL of a segment before", pgfake.Replace(pgfake.At{Part: pgfake.PartWAL, N: 1}, pgfake.XLogData(8192, 2*segmentSize, make([]byte, 8192))), "at 0/2000, expected 0/120000"},
		{"WAL at the end of all positions", pgfake.Replace(first, pgfake.XLogData(math.MaxUint64-8191, 0, make([]byte, 8192))), "at FFFFFFFF/FFFFE000, expected 0/100000"},
		{"a piece of WAL of 4 MiB and more", pgfake.Replace(first, pgfake.XLogData(segmentSize, 0, make([]byte, 4<<20))), "message of type 'd' has 4194329 bytes, expected at most 4194304"},
		{"a piece of WAL that claims 2 GiB", pgfake.Change(first, func(m pgfake.Message) []pgfake.Message {
			return []pgfake.Message{pgfake.WithLength(m, math.MaxInt32)}
		}), "message of type 'd' has 2147483643 bytes, expected at most 4194304"},
		{"a piece of WAL with half a header", pgfake.Replace(first, pgfake.CopyData([]byte("w12345678"))), "streaming header too small: 9"},
		{"half a keepalive", pgfake.Replace(first, pgfake.CopyData([]byte("k12345678"))), "streaming header too small: 9"},
		{"an empty message", pgfake.Replace(first, pgfake.CopyData(nil)), "empty message in the WAL stream"},
		{"a message of an unknown kind", pgfake.Replace(first, pgfake.CopyData([]byte("zzz"))), `unrecognized streaming header: 'z'`},
		{"a row inside the stream", pgfake.Replace(first, pgfake.Row("2", "0/1")), "unexpected message of type 'D' in the answer to START_REPLICATION"},
		{"the end of the command inside the stream", pgfake.Replace(first, pgfake.ReadyForQuery()), "unexpected message of type 'Z' in the answer to START_REPLICATION"},
		{"success without WAL", pgfake.Replace(first, pgfake.CommandComplete("COPY 0"), pgfake.ReadyForQuery()), "replication stream was terminated before stop point"},
		{"an archive in place of the stream", pgfake.Replace(pgfake.At{Command: "START_REPLICATION", Part: pgfake.PartCopyBegin}, pgfake.CopyOut()), "unexpected message of type 'H' in the answer to START_REPLICATION"},
		{"an end of the timeline at 0/0", pgfake.Replace(ended, pgfake.Row("2", "0/0")), "server reported that timeline 1 ended at 0/0"},
		{"an end of the timeline without a next one", pgfake.Replace(pgfake.At{Part: pgfake.PartTimeline, N: pgfake.Any}), "replication stream was terminated before stop point"},
		{"two ends of the timeline", pgfake.Change(ended, func(m pgfake.Message) []pgfake.Message { return []pgfake.Message{m, m} }), "unexpected result set after end-of-timeline"},

		{"no history", pgfake.Replace(history), "unexpected response to TIMELINE_HISTORY command: got 0 rows"},
		{"a history that is NULL", pgfake.Replace(history, pgfake.Row("00000002.history", nil)), "history of timeline 2 that the server sent: it names no timeline"},
		{"a history of comments", pgfake.Replace(history, pgfake.Row("00000002.history", strings.Repeat("# nothing\n", 100))), "history of timeline 2 that the server sent: it names no timeline"},
		{"a history of nonsense", pgfake.Replace(history, pgfake.Row("00000002.history", "\x00\xff")), "history of timeline 2 that the server sent: line 1"},
		{"a history of itself", pgfake.Replace(history, pgfake.Row("00000002.history", honest+"2\t0/300000\tx\n")), "history of timeline 2 that the server sent: it comes from timeline 2"},
		{"a history of another timeline", pgfake.Replace(history, pgfake.Row("00000003.history", honest)), `unexpected history file name for timeline 2: "00000003.history"`},
		{"a history with another branch", pgfake.Replace(history, pgfake.Row("00000002.history", "1\t0/206030\tx\n")), "server ended timeline 1 at 0/206028, but its history of timeline 2 does not say so"},
		{"a history of 5 MiB", pgfake.Replace(history, pgfake.Row("00000002.history", honest+strings.Repeat("# x\n", 5<<18))), "message of type 'D' has"},
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			s := pgfake.Serve(t, branched(l.tamper))
			dir := t.TempDir()
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: archiveDirectory(t, dir), SystemID: 42})
			if err := r.wait(t); err == nil || !strings.Contains(err.Error(), l.want) {
				t.Errorf("error: %v\nwant one with %q", err, l.want)
			}
			checkNamesOnly(t, dir, strings.Contains(l.name, "history"))
		})
		t.Run(l.name+", into an archive", func(t *testing.T) {
			c := branched(l.tamper)
			s := pgfake.Serve(t, c)
			dir := t.TempDir()
			// A segment is there, so that the archive begins on the first timeline.
			name := wal.SegmentName(1, 0, segmentSize)
			if err := os.WriteFile(filepath.Join(dir, name), c.LogBytes(1, 0, segmentSize), 0o600); err != nil {
				t.Fatal(err)
			}
			a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir, NoLoop: true})
			if err := a.wait(t); err == nil {
				t.Error("no error")
			}
			checkNamesOnly(t, dir, false)
		})
	}
}

// checkNamesOnly sees that a directory holds files of WAL and nothing else, and no
// history if there should be none.
func checkNamesOnly(t *testing.T, dir string, noHistory bool) {
	t.Helper()
	for name, content := range readTree(t, dir) {
		f, segment := wal.ParseFileName(name, segmentSize)
		switch {
		case segment && (f.Partial || len(content) == segmentSize):
		case wal.IsHistoryName(name) && !noHistory:
			if _, err := wal.ParseHistory(content); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		default:
			t.Errorf("the directory holds %s of %d bytes", name, len(content))
		}
	}
}

func TestWALDoesNotGoBeyondTheLastPosition(t *testing.T) {
	const last = math.MaxUint64 - segmentSize + 1
	c := cluster(math.MaxUint64)
	c.Tamper = pgfake.Change(pgfake.At{Part: pgfake.PartWAL}, func(pgfake.Message) []pgfake.Message {
		return []pgfake.Message{pgfake.XLogData(last, math.MaxUint64, make([]byte, 2*segmentSize))}
	})
	c.Log = func(_ uint32, start, end lsn.LSN) []byte { return make([]byte, end-start) }
	s := pgfake.Serve(t, c)
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{}, Start: last})
	const want = "got 2097152 bytes of WAL data at FFFFFFFF/FFF00000, beyond the last position there is"
	if err := r.wait(t); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestPositionsInKeepalivesChangeNothingThatIsStored(t *testing.T) {
	const flush = 2*segmentSize + 300000
	c := cluster(flush)
	c.Slots = []pgfake.Slot{{Name: "s"}}
	c.LogChunk = 64 << 10
	c.Tamper = pgfake.Before(pgfake.At{Part: pgfake.PartWAL, N: pgfake.Any},
		pgfake.Keepalive(0, false), pgfake.Keepalive(math.MaxUint64, true), pgfake.Keepalive(1, true), pgfake.Keepalive(segmentSize, false))
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: archiveDirectory(t, dir), Slot: "s"})
	r.StopAt(flush)
	r.mustEnd(t)
	files := readTree(t, dir)
	checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, segmentSize, flush, segmentSize)
	checkNoMore(t, files)
	for _, st := range c.Statuses() {
		if st.Flush > flush || st.Write > flush || st.Apply != 0 {
			t.Errorf("a status of %+v", st)
		}
	}
}

func TestEndlessKeepalivesKeepNobodyAndTakeNoMemory(t *testing.T) {
	for _, asks := range []bool{false, true} {
		t.Run(fmt.Sprint("asking=", asks), func(t *testing.T) {
			c := cluster(2 * segmentSize)
			one := pgfake.Keepalive(math.MaxUint64, asks).Bytes()
			reached := pgfake.NewGate()
			c.Tamper = pgfake.Replace(pgfake.At{Part: pgfake.PartWAL},
				pgfake.RawBytes(bytes.Repeat(one, 1<<20)), pgfake.Stall(reached), pgfake.Forever(pgfake.RawBytes(one)))
			reason := errors.New("enough")
			s := pgfake.Serve(t, c)
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{}})
			n := peak.Heap(func() {
				if !asks { // else the server that does not listen is not written to any more
					<-reached.Reached()
					reached.Release()
				}
				r.cancel(reason)
				if err := r.wait(t); !errors.Is(err, reason) {
					t.Errorf("got %v", err)
				}
			})
			if n > 64<<20 {
				t.Errorf("it took %d MiB", n>>20)
			}
		})
	}
}

func TestWhatFollowsTheStopPointIsNotListenedToForever(t *testing.T) {
	for name, endless := range map[string]pgfake.Message{
		"WAL":        pgfake.XLogData(2*segmentSize, 3*segmentSize, make([]byte, 32<<10)),
		"keepalives": pgfake.Keepalive(2*segmentSize, true),
		"notices":    pgfake.Notice("WARNING", "01000", strings.Repeat("x", 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(2 * segmentSize)
			b := endless.Bytes()
			c.Tamper = pgfake.Before(pgfake.At{Part: pgfake.PartCopyEnd, N: 0}, pgfake.Forever(pgfake.RawBytes(bytes.Repeat(b, max(1, 64<<10/len(b))))))
			s := pgfake.Serve(t, c)
			sink, dir := backupDirectory(t)
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink})
			r.StopAt(2 * segmentSize)
			r.mustEnd(t) // the result stands
			files := readTree(t, dir)
			checkSegments(t, files, "", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, segmentSize, 2*segmentSize, segmentSize)
			checkNoMore(t, files)
		})
	}
}
