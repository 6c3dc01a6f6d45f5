package walstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/walstream"
)

// connector connects by a keyword string.
func connector(t testing.TB, text string) func(context.Context) (*replproto.Conn, error) {
	t.Helper()
	given, err := conninfo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings, ApplicationName: "walstream"}
	return func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
}

// archive is an Archiver at work, and what it said.
type archive struct {
	*walstream.Archiver
	cancel context.CancelFunc
	result chan error

	mu   sync.Mutex
	said []string
}

func (a *archive) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, fmt.Sprintf(format, args...))
}

func (a *archive) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.said, "\n")
}

func (a *archive) says(t testing.TB, text string) {
	t.Helper()
	eventually(t, text, func() bool { return strings.Contains(a.all(), text) })
}

func startArchive(t testing.TB, o walstream.ArchiveOptions) *archive {
	t.Helper()
	a := &archive{result: make(chan error, 1)}
	o.Observer = walstream.ArchiveObserver{
		Observer: walstream.Observer{
			SegmentFinished:  func(timeline uint32, end lsn.LSN) { a.say("finished %s on %d", end, timeline) },
			TimelineSwitched: func(timeline uint32, at lsn.LSN) { a.say("switched to %d at %s", timeline, at) },
			SegmentLeft:      func(name string) { a.say("left %s", name) },
		},
		Started: func(p walstream.Position) { a.say("started at %s on %d", p.LSN, p.Timeline) },
		Stopped: func(p walstream.Position) { a.say("stopped at %s on %d", p.LSN, p.Timeline) },
		Warning: func(text string) { a.say("warning: %s", text) },
		Lost:    func(err error) { a.say("lost: %v", err) },
		Waiting: func(pause time.Duration) { a.say("waiting %v", pause) },
		Full:    func(err error) { a.say("full: %v", err) },
		Room:    func() { a.say("room") },
	}
	var err error
	if a.Archiver, err = walstream.NewArchiver(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.result <- a.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return a
}

func (a *archive) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-a.result:
		return err
	case <-time.After(patience):
		t.Fatalf("the archive has not ended: %+v\n%s", a.Status(), a.all())
		return nil
	}
}

func (a *archive) waitWritten(t testing.TB, pos lsn.LSN) {
	t.Helper()
	eventually(t, fmt.Sprintf("WAL up to %s", pos), func() bool {
		select {
		case err := <-a.result:
			t.Fatalf("the archive ended: %v\n%s", err, a.all())
		default:
		}
		return a.Status().Written >= pos
	})
}

// stop ends the archive as a signal does.
func (a *archive) stop(t testing.TB) {
	t.Helper()
	a.cancel()
	if err := a.wait(t); err != nil {
		t.Fatalf("stopped with %v\n%s", err, a.all())
	}
}

func TestArchiveBeginsAtTheServersSegmentAndLeavesAPartialOne(t *testing.T) {
	const flush = 3*segmentSize + 500000
	c := cluster(flush)
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir})
	a.says(t, "started at 0/300000 on 1")
	c.Advance(5*segmentSize + 1000)
	a.waitWritten(t, 5*segmentSize+1000)
	if st := a.Status(); !st.Streaming || st.Segments != 2 || st.Reconnects != 0 || st.LastError != nil || st.Received != st.Written || st.CaughtUp.IsZero() || st.Flushed != 5*segmentSize {
		t.Errorf("status %+v", st)
	}
	a.stop(t)
	if a.Status().Streaming {
		t.Error("still streaming")
	}
	a.says(t, "left 000000010000000000000005.partial")
	files := readTree(t, dir)
	checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, 3*segmentSize, 5*segmentSize+1000, segmentSize)
	checkNoMore(t, files)

	// The next one goes on.
	c.Advance(6 * segmentSize)
	a = startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir})
	a.says(t, "started at 0/500000 on 1")
	a.waitWritten(t, 6*segmentSize)
	a.stop(t)
	files = readTree(t, dir)
	checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, 3*segmentSize, 6*segmentSize, segmentSize)
	checkNoMore(t, files)
}

func TestArchiveEndsBehindItsEndPosition(t *testing.T) {
	const flush = 5*segmentSize + 500000
	for name, c := range map[string]struct {
		end, written lsn.LSN
		said         string
	}{
		"in a segment":         {3*segmentSize + 1000, 3*segmentSize + 128<<10, "stopped at 0/320000 on 1"},
		"at a segment's end":   {4 * segmentSize, 4*segmentSize + 128<<10, "stopped at 0/420000 on 1"},
		"before the beginning": {1, 1 * segmentSize, "stopped at 0/100000 on 1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "000000010000000000000000"), make([]byte, segmentSize), 0o600); err != nil {
				t.Fatal(err)
			}
			s := pgfake.Serve(t, cluster(flush))
			a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir, EndPos: c.end})
			if err := a.wait(t); err != nil {
				t.Fatal(err)
			}
			a.says(t, c.said)
			if st := a.Status(); st.Written != c.written {
				t.Errorf("written up to %s", st.Written)
			}
		})
	}
}

func TestArchiveGoesOnAtTheByteAfterALoss(t *testing.T) {
	const flush = 4*segmentSize + 700000
	for _, algorithm := range append([]codec.Algorithm{codec.None}, algorithms...) {
		t.Run(algorithm.String(), func(t *testing.T) {
			c := cluster(flush)
			c.Slots = []pgfake.Slot{{Name: "s", RestartLSN: segmentSize + 5000}}
			c.Faults = func(n int) []pgfake.Fault {
				if n < 2 {
					return []pgfake.Fault{{After: []int64{1800000, 900000}[n], Kind: pgfake.FIN}}
				}
				return nil
			}
			s := pgfake.Serve(t, c)
			dir := t.TempDir()
			a := startArchive(t, walstream.ArchiveOptions{
				Connect: connector(t, s.ConnString()), Dir: dir, Slot: "s", Synchronous: true, Compression: codec.Spec{Algorithm: algorithm},
			})
			a.waitWritten(t, flush)
			eventually(t, "everything is acknowledged", func() bool { return lastStatus(c).Flush == flush })
			if st := a.Status(); st.Reconnects != 2 || st.LastError == nil {
				t.Errorf("status %+v", st)
			}
			a.stop(t)
			if said := a.all(); strings.Count(said, "waiting ") != 2 || strings.Count(said, "lost: ") != 2 {
				t.Errorf("said %s", said)
			}
			resumed := 0
			for _, q := range s.Queries() {
				if strings.HasPrefix(q.Text, "START_REPLICATION") && !strings.Contains(q.Text, "00000 ") {
					resumed++
				}
			}
			if algorithm == codec.None && resumed != 2 || algorithm != codec.None && resumed != 0 {
				t.Errorf("%d of %v begin in the middle of a segment", resumed, s.Queries())
			}
			files := unpacked(t, readTree(t, dir), algorithm)
			if algorithm != codec.None {
				last := "000000010000000000000004.partial"
				files[last] = append(files[last], make([]byte, segmentSize-len(files[last]))...)
			}
			checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, segmentSize, flush, segmentSize)
			checkNoMore(t, files)
		})
	}
}

// A commit whose acknowledgement was lost with the connection waits for it, and
// with it all that could bring more WAL.
func TestSynchronousArchiveAcknowledgesAtOnceWhatItHasAfterALoss(t *testing.T) {
	const flush = segmentSize + 300000
	c := cluster(flush)
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	sink := archiveDirectory(t, dir)
	if err := sink.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(c.LogBytes(1, segmentSize, flush)); err != nil {
		t.Fatal(err)
	}
	if err := sink.CloseSegment(); err != nil {
		t.Fatal(err)
	}
	start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Start: flush, Synchronous: true})
	eventually(t, "it is acknowledged", func() bool { return lastStatus(c).Flush == flush })
}

func TestArchiveWithNoLoopEndsWithTheFirstLoss(t *testing.T) {
	c := cluster(segmentSize + 5000)
	s := pgfake.Serve(t, c)
	a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: t.TempDir(), NoLoop: true})
	a.waitWritten(t, segmentSize+5000)
	c.Shutdown()
	if err := a.wait(t); err != walstream.ErrDisconnected {
		t.Errorf("got %v", err)
	}
	if said := a.all(); !strings.Contains(said, "lost: replication stream was terminated before stop point") || strings.Contains(said, "waiting") {
		t.Errorf("said %s", said)
	}
}

func TestArchiveFollowsTheServersBranches(t *testing.T) {
	const fork = 3*segmentSize + 5000
	for name, test := range map[string]struct {
		there   map[string]int // segments in the directory, and how many bytes of them
		started string
		warned  bool
	}{
		"before the fork": {map[string]int{"000000010000000000000001": segmentSize}, "started at 0/200000 on 1", false},
		// pg_receivewal would ask for what is not there, for ever.
		"beyond the fork": {map[string]int{"000000010000000000000001": segmentSize, "000000010000000000000002": segmentSize, "000000010000000000000003": segmentSize}, "started at 0/300000 on 2", true},
		"at the server's": {map[string]int{"000000020000000000000003": segmentSize}, "started at 0/400000 on 2", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(5*segmentSize + 1000)
			c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: fork}}
			s := pgfake.Serve(t, c)
			dir := t.TempDir()
			for name, n := range test.there {
				if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir})
			a.says(t, test.started)
			eventually(t, "WAL of the new timeline", func() bool { p := a.Status().Progress; return p.Timeline == 2 && p.Written == 5*segmentSize+1000 })
			a.stop(t)
			if strings.Contains(a.all(), "warning: timeline 1 goes on at 0/301388 on the server, where timeline 2 begins") != test.warned {
				t.Errorf("said %s", a.all())
			}
			files := readTree(t, dir)
			first := lsn.LSN(3 * segmentSize)
			if test.there["000000020000000000000003"] != 0 {
				first = 4 * segmentSize
			}
			checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(2, start, end) }, 2, first, 5*segmentSize+1000, segmentSize)
			if !bytes.Contains(files["00000002.history"], []byte("0/301388")) {
				t.Errorf("history %q", files["00000002.history"])
			}
		})
	}
}

func TestWhatAnotherAttemptWouldMeetAgainEndsTheArchive(t *testing.T) {
	const flush = 5*segmentSize + 1000
	for name, test := range map[string]struct {
		cluster func(c *pgfake.Cluster)
		there   []string
		slot    string
		want    string
	}{
		"removed WAL": {func(c *pgfake.Cluster) { c.OldestLog = 4 * segmentSize }, []string{"000000010000000000000001"}, "",
			"requested WAL segment 000000010000000000000002 has already been removed"},
		"no such slot":        {nil, nil, "nope", "replication slot \"nope\" does not exist"},
		"no such slot, later": {nil, []string{"000000010000000000000001"}, "nope", "replication slot \"nope\" does not exist"},
		"no such slot, 14":    {func(c *pgfake.Cluster) { c.Version = "14.1" }, nil, "nope", "replication slot \"nope\" does not exist"},
		"another branch": {func(c *pgfake.Cluster) {
			c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: 2 * segmentSize}}
			c.Timeline = 3
		}, []string{"000000020000000000000003"}, "", "timeline 2 is not in the history of timeline 3"},
		"gap": {nil, []string{"000000010000000000000001", "000000010000000000000003"}, "", "WAL segments are missing in directory"},
		"no right": {func(c *pgfake.Cluster) {
			m := pgfake.Error("FATAL", "42501", "permission denied to start WAL sender")
			c.Refuse = func(int) *pgfake.Message { return &m }
		}, nil, "", "permission denied to start WAL sender"},
		"old server": {func(c *pgfake.Cluster) { c.Version = "9.2.4" }, nil, "",
			"incompatible server version 9.2.4; client does not support streaming from server versions older than 9.3"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(flush)
			if test.cluster != nil {
				test.cluster(c)
			}
			if strings.HasPrefix(c.Version, "9") {
				c.SegmentSize = 16 << 20
			}
			s := pgfake.Serve(t, c)
			dir := t.TempDir()
			for _, name := range test.there {
				if err := os.WriteFile(filepath.Join(dir, name), make([]byte, segmentSize), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir, Slot: test.slot})
			if err := a.wait(t); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
			if said := a.all(); strings.Contains(said, "waiting") {
				t.Errorf("said %s", said)
			}
		})
	}
}

func TestAnotherClusterEndsTheArchive(t *testing.T) {
	one, other := cluster(segmentSize+1000), cluster(segmentSize+1000)
	other.SystemID = 43
	first, second := pgfake.Serve(t, one), pgfake.Serve(t, other)
	n := 0
	connect := func(ctx context.Context) (*replproto.Conn, error) {
		n++
		if n == 1 {
			return connector(t, first.ConnString())(ctx)
		}
		return connector(t, second.ConnString())(ctx)
	}
	a := startArchive(t, walstream.ArchiveOptions{Connect: connect, Dir: t.TempDir()})
	a.waitWritten(t, segmentSize+1000)
	one.Shutdown()
	if err := a.wait(t); !errors.Is(err, walstream.ErrSystemChanged) {
		t.Errorf("got %v", err)
	}
}

func TestArchiveOfAnotherClusterIsNotGoneOnWith(t *testing.T) {
	other := pgfake.WAL{Version: "17.2", SystemID: 43, Timeline: 1, SegmentSize: segmentSize}.Bytes(segmentSize, 2*segmentSize)
	for _, algorithm := range append([]codec.Algorithm{codec.None}, algorithms...) {
		var b bytes.Buffer
		w, err := codec.NewWriter(&b, codec.Spec{Algorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(other); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", ".partial"} {
			dir := t.TempDir()
			name := segmentName + algorithm.Suffix() + suffix
			if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			for id, want := range map[uint64]bool{42: true, 43: false} {
				c := cluster(3 * segmentSize)
				c.SystemID = id
				s := pgfake.Serve(t, c)
				a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir, EndPos: 1})
				if err := a.wait(t); errors.Is(err, walstream.ErrSystemChanged) != want || want != (err != nil) || want && !strings.Contains(err.Error(), name) {
					t.Errorf("%s, server %d: %v", name, id, err)
				}
			}
		}
	}
}

func TestArchiveWaitsForAServerThatIsBehind(t *testing.T) {
	c := cluster(3*segmentSize + 1000)
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "000000020000000000000002"), make([]byte, segmentSize), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString()), Dir: dir})
	a.says(t, "lost: starting timeline 2 is not present in the server\nwaiting 1s")
	a.says(t, "waiting 2s")
	a.stop(t)
}

func TestArchiveThatNeverConnectedEndsWithTheReason(t *testing.T) {
	s := pgfake.Serve(t, cluster(segmentSize))
	a := startArchive(t, walstream.ArchiveOptions{Connect: connector(t, s.ConnString("port=1")), Dir: t.TempDir()})
	var refused *replproto.ConnectError
	if err := a.wait(t); !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}

func TestArchiveOptionsAreChecked(t *testing.T) {
	connect := connector(t, "host=nowhere")
	for name, o := range map[string]walstream.ArchiveOptions{
		"no connection":         {Dir: "x"},
		"no directory":          {Connect: connect},
		"not synced":            {Connect: connect, Dir: "x", NoSync: true, Synchronous: true},
		"no such compression":   {Connect: connect, Dir: "x", Compression: codec.Spec{Algorithm: 99}},
		"no such level of gzip": {Connect: connect, Dir: "x", Compression: codec.Spec{Algorithm: codec.Gzip, Level: 77, LevelSet: true}},
	} {
		if _, err := walstream.NewArchiver(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
