package walstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

const patience = 60 * time.Second

// dial makes a replication connection from a keyword string.
func dial(t testing.TB, text string) *replproto.Conn {
	t.Helper()
	given, err := conninfo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := replproto.Connect(context.Background(), &replproto.Config{Settings: settings, ApplicationName: "walstream"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A run is a Receiver at work.
type run struct {
	*walstream.Receiver
	cancel context.CancelCauseFunc
	result chan error
}

// start runs a receiver until the end of the test. The caller's options lack
// only what defaults to a fake cluster's values.
func start(t testing.TB, o walstream.Options) *run {
	t.Helper()
	if o.SegmentSize == 0 {
		o.SegmentSize = segmentSize
	}
	if o.Timeline == 0 {
		o.Timeline = 1
	}
	if o.Start == 0 {
		o.Start = segmentSize
	}
	r, err := walstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	run := &run{Receiver: r, cancel: cancel, result: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.result <- r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel(errors.New("the test has ended"))
		<-ended
	})
	return run
}

// wait returns what Run returned.
func (r *run) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.result:
		return err
	case <-time.After(patience):
		p := r.Progress()
		t.Fatalf("the receiver has not ended, at %s on timeline %d", p.Written, p.Timeline)
		return nil
	}
}

func (r *run) mustEnd(t testing.TB) {
	t.Helper()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition is met.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *run) waitWritten(t testing.TB, pos lsn.LSN) {
	t.Helper()
	eventually(t, fmt.Sprintf("WAL up to %s", pos), func() bool {
		select {
		case err := <-r.result:
			t.Fatalf("the receiver ended: %v", err)
		default:
		}
		return r.Progress().Written >= pos
	})
}

// backupDirectory is a sink as plain backups have it.
func backupDirectory(t testing.TB) (*walstream.Directory, string) {
	dir := t.TempDir()
	d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir})
	t.Cleanup(func() { d.Close() })
	return d, dir
}

// archiveDirectory is a sink as archives have it.
func archiveDirectory(t testing.TB, dir string) *walstream.Directory {
	d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: true})
	t.Cleanup(func() { d.Close() })
	return d
}

// discard is a sink that keeps nothing, and can be made to block and to fail.
type discard struct {
	durable   bool
	blockSync chan struct{} // Sync waits until it is closed
	onWrite   func() error
	syncErr   func() error

	mu     sync.Mutex
	synced int // calls of Sync
	files  []string
	inSync int
}

func (d *discard) OpenSegment(walstream.Segment) error { return nil }
func (d *discard) CloseSegment() error                 { return nil }
func (d *discard) Write(p []byte) (int, error) {
	if d.onWrite != nil {
		if err := d.onWrite(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (d *discard) Sync() (bool, error) {
	d.mu.Lock()
	d.inSync++
	d.mu.Unlock()
	if d.blockSync != nil {
		<-d.blockSync
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inSync--
	d.synced++
	if d.syncErr != nil {
		if err := d.syncErr(); err != nil {
			return false, err
		}
	}
	return d.durable, nil
}

func (d *discard) syncing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inSync > 0
}

func (d *discard) WriteFile(name string, content []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, name)
	return nil
}

func (d *discard) Exists(string) (bool, error) { return false, nil }

// cluster is a fake server whose log begins in segment 1 and ends at flush.
func cluster(flush lsn.LSN) *pgfake.Cluster {
	return &pgfake.Cluster{Version: "17.2", SystemID: 42, SegmentSize: segmentSize, Flush: flush}
}

// checkSegments compares files with the log from start to end on a timeline;
// what lies beyond is zero.
func checkSegments(t testing.TB, files map[string][]byte, suffix string, log func(start, end lsn.LSN) []byte, timeline uint32, start, end lsn.LSN, size int64) {
	t.Helper()
	for pos := start; pos < end; pos += lsn.LSN(size) {
		name := wal.SegmentName(timeline, wal.SegmentNumber(pos, size), size)
		if pos+lsn.LSN(size) > end {
			name += suffix
		}
		want := append(log(pos, min(pos+lsn.LSN(size), end)), make([]byte, max(0, int64(pos)+size-int64(end)))...)
		got, ok := files[name]
		if !ok {
			t.Errorf("segment %s is missing", name)
		} else if !bytes.Equal(got, want) {
			t.Errorf("segment %s differs from the server's", name)
		}
		delete(files, name)
	}
}

func checkNoMore(t testing.TB, files map[string][]byte, but ...string) {
	t.Helper()
	for _, name := range but {
		if _, ok := files[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(files, name)
	}
	for name := range files {
		t.Errorf("%s should not be there", name)
	}
}

func TestBackupGetsAllWALUpToTheStopPointInSegmentsOfFullSize(t *testing.T) {
	const flush = 3*segmentSize + 500000
	for name, chunk := range map[string]int{"as the server sends it": 128 << 10, "messages across segments": 96 << 10, "small messages": 1000} {
		t.Run(name, func(t *testing.T) {
			c := cluster(flush)
			c.LogChunk = chunk
			s := pgfake.Serve(t, c)
			sink, dir := backupDirectory(t)
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, SystemID: 42, MarkDone: true})
			r.StopAt(flush)
			r.mustEnd(t)
			if p := r.Progress(); p.Written != flush || p.Timeline != 1 || p.ServerEnd != flush {
				t.Errorf("progress %+v", p)
			}
			log := func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }
			files := readTree(t, dir)
			checkSegments(t, files, "", log, 1, segmentSize, flush, segmentSize)
			checkNoMore(t, files, "archive_status/000000010000000000000001.done", "archive_status/000000010000000000000002.done")
		})
	}
}

func TestArchiveOfABackupGetsTheSameSegments(t *testing.T) {
	const flush = 3*segmentSize + 500000
	c := cluster(flush)
	c.LogChunk = 96 << 10
	s := pgfake.Serve(t, c)
	var archive bytes.Buffer
	w := tarstream.NewWriter(&archive)
	r := start(t, walstream.Options{
		Conn: dial(t, s.ConnString()), Sink: walstream.NewTar(w, walstream.TarOptions{Prefix: "pg_wal/"}), MarkDone: true,
	})
	r.StopAt(flush)
	r.mustEnd(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	log := func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }
	files := readTar(t, archive.Bytes(), "pg_wal/")
	checkSegments(t, files, "", log, 1, segmentSize, flush, segmentSize)
	checkNoMore(t, files, "archive_status/000000010000000000000001.done", "archive_status/000000010000000000000002.done")
}

func TestStopPointEndsTheStreamWhereverItIs(t *testing.T) {
	const flush = 2*segmentSize + 300000
	for name, c := range map[string]struct {
		stop lsn.LSN
		when string // it is told: "before", "idle" (everything there was has come), "behind" (and more comes later)
		want lsn.LSN
	}{
		"at the start, told before":         {stop: segmentSize, when: "before", want: segmentSize},
		"before the start, told before":     {stop: 77, when: "before", want: segmentSize},
		"in the middle, told before":        {stop: segmentSize + 200000, when: "before", want: segmentSize + 256<<10},
		"at a segment's end, told before":   {stop: 2 * segmentSize, when: "before", want: 2 * segmentSize},
		"at the current position, idle":     {stop: flush, when: "idle", want: flush},
		"before the current position, idle": {stop: segmentSize + 200000, when: "idle", want: flush},
		"just after the current, behind":    {stop: flush + 1, when: "behind", want: flush + 8192},
	} {
		for _, slot := range []string{"", "s"} {
			t.Run(name+" slot="+slot, func(t *testing.T) {
				cl := cluster(flush)
				cl.Slots = []pgfake.Slot{{Name: "s"}}
				s := pgfake.Serve(t, cl)
				r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{durable: true}, Slot: slot})
				if c.when != "before" {
					r.waitWritten(t, flush)
				}
				r.StopAt(c.stop)
				if c.when == "behind" {
					cl.Advance(flush + 8192)
				}
				r.mustEnd(t)
				// Told before Run looks, what was sent already may be more.
				if p := r.Progress(); p.Written != c.want && !(c.when == "before" && p.Written <= flush && p.Written >= c.want) {
					t.Errorf("written %s, want %s", p.Written, c.want)
				}
			})
		}
	}
}

func TestConnectionIsFreeAfterTheStopPoint(t *testing.T) {
	s := pgfake.Serve(t, cluster(2*segmentSize))
	conn := dial(t, s.ConnString())
	r := start(t, walstream.Options{Conn: conn, Sink: &discard{}})
	r.StopAt(2 * segmentSize)
	r.mustEnd(t)
	if sys, err := conn.IdentifySystem(context.Background()); err != nil || sys.ID != 42 {
		t.Errorf("IDENTIFY_SYSTEM afterwards: %+v, %v", sys, err)
	}
}

func TestStopLeavesAValidPartialSegmentAndReportsIt(t *testing.T) {
	const flush = 2*segmentSize + 300000
	c := cluster(flush)
	c.Slots = []pgfake.Slot{{Name: "s"}}
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: archiveDirectory(t, dir), Slot: "s"})
	r.waitWritten(t, flush)
	r.Stop()
	r.mustEnd(t)
	files := readTree(t, dir)
	checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, segmentSize, flush, segmentSize)
	checkNoMore(t, files)
	all := c.Statuses()
	if last := all[len(all)-1]; last.Flush != flush || last.Write != flush {
		t.Errorf("last status %+v, want flush %s", last, lsn.LSN(flush))
	}
}

func TestFollowsTimelines(t *testing.T) {
	const (
		firstSwitch  = 2*segmentSize + 8192*3 + 40
		secondSwitch = 3*segmentSize + 8192*5 + 80
		flush        = 4*segmentSize + 100000
	)
	c := cluster(flush)
	c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: firstSwitch}, {Timeline: 2, Switch: secondSwitch}}
	s := pgfake.Serve(t, c)
	for _, partial := range []string{"", ".partial"} {
		t.Run("suffix "+partial, func(t *testing.T) {
			dir := t.TempDir()
			sink := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: partial != ""})
			defer sink.Close()
			var events []string
			r := start(t, walstream.Options{
				Conn: dial(t, s.ConnString()), Sink: sink, SystemID: 42, MarkDone: partial == "",
				Observer: walstream.Observer{
					SegmentFinished:  func(timeline uint32, end lsn.LSN) { events = append(events, fmt.Sprint(timeline, " ", end)) },
					TimelineSwitched: func(timeline uint32, at lsn.LSN) { events = append(events, fmt.Sprint("to ", timeline, " at ", at)) },
				},
			})
			r.StopAt(flush)
			r.mustEnd(t)
			if p := r.Progress(); p.Timeline != 3 || p.Written != flush {
				t.Errorf("progress %+v", p)
			}
			files := readTree(t, dir)
			for _, l := range []struct {
				timeline   uint32
				start, end lsn.LSN
			}{{1, segmentSize, firstSwitch}, {2, 2 * segmentSize, secondSwitch}, {3, 3 * segmentSize, flush}} {
				log := func(start, end lsn.LSN) []byte { return c.LogBytes(l.timeline, start, end) }
				checkSegments(t, files, partial, log, l.timeline, l.start, l.end, segmentSize)
			}
			want := "1\t0/206028\tno recovery target specified\n2\t0/30A050\tno recovery target specified\n"
			if got := string(files["00000003.history"]); got != want {
				t.Errorf("00000003.history is %q", got)
			}
			rest := []string{"00000002.history", "00000003.history"}
			if partial == "" {
				for _, name := range []string{"000000010000000000000001", "000000020000000000000002", "000000030000000000000003", "00000002.history", "00000003.history"} {
					rest = append(rest, "archive_status/"+name+".done")
				}
			}
			checkNoMore(t, files, rest...)
			if got := strings.Join(events, ", "); got != "1 0/200000, to 2 at 0/206028, 2 0/300000, to 3 at 0/30A050, 3 0/400000" {
				t.Errorf("events: %s", got)
			}
		})
	}
}

func TestPromotionDuringTheStreamIsFollowed(t *testing.T) {
	const before = 2*segmentSize + 8192*3
	c := cluster(before)
	s := pgfake.Serve(t, c)
	sink, dir := backupDirectory(t)
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink})
	r.waitWritten(t, before)
	c.Promote()
	c.Advance(3 * segmentSize)
	r.StopAt(3 * segmentSize)
	r.mustEnd(t)
	files := readTree(t, dir)
	checkSegments(t, files, "", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, segmentSize, before, segmentSize)
	checkSegments(t, files, "", func(start, end lsn.LSN) []byte { return c.LogBytes(2, start, end) }, 2, 2*segmentSize, 3*segmentSize, segmentSize)
	checkNoMore(t, files, "00000002.history")
}

func TestHistoryThatIsThereIsNotFetchedAgain(t *testing.T) {
	c := cluster(2 * segmentSize)
	c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: 8192}}
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	for range 2 {
		r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: archiveDirectory(t, dir), Timeline: 2})
		r.StopAt(2 * segmentSize)
		r.mustEnd(t)
	}
	fetched := 0
	for _, q := range s.Queries() {
		if strings.HasPrefix(q.Text, "TIMELINE_HISTORY") {
			fetched++
		}
	}
	if fetched != 1 {
		t.Errorf("TIMELINE_HISTORY was sent %d times", fetched)
	}
}

func TestServersThatDoNotFitAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		cluster *pgfake.Cluster
		options walstream.Options
		tamper  pgfake.Tamper
		err     string
		code    string
	}{
		"another cluster": {
			options: walstream.Options{SystemID: 43},
			err:     "system identifier does not match between base backup and streaming connection",
		},
		"a timeline to come": {
			options: walstream.Options{SystemID: 42, Timeline: 2},
			err:     "starting timeline 2 is not present in the server",
		},
		"a removed segment": {
			cluster: &pgfake.Cluster{Version: "17.2", SegmentSize: segmentSize, Flush: 9 * segmentSize, OldestLog: 5 * segmentSize},
			err:     "requested WAL segment 000000010000000000000001 has already been removed", code: "58P01",
		},
		"no slot": {
			options: walstream.Options{Slot: "none"},
			err:     `replication slot "none" does not exist`, code: "42704",
		},
		"a history under another name": {
			cluster: &pgfake.Cluster{Version: "17.2", SegmentSize: segmentSize, Flush: 9 * segmentSize, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 99}}},
			options: walstream.Options{Timeline: 2},
			tamper:  pgfake.Replace(pgfake.At{Command: "TIMELINE_HISTORY", Part: pgfake.PartResult, N: 1}, pgfake.Row("../../etc/passwd", "x")),
			err:     `server reported unexpected history file name for timeline 2: "../../etc/passwd"`,
		},
		"WAL with a hole": {
			tamper: pgfake.Replace(pgfake.At{Part: pgfake.PartWAL, N: 1}),
			err:    "got WAL data offset 00040000, expected 00020000",
		},
		"WAL twice": {
			tamper: pgfake.Replace(pgfake.At{Part: pgfake.PartWAL, N: 1}, pgfake.XLogData(segmentSize, 2*segmentSize, make([]byte, 100))),
			err:    "got WAL data offset 00000000, expected 00020000",
		},
		"WAL of another segment": {
			tamper: pgfake.Replace(pgfake.At{Part: pgfake.PartWAL, N: 0}, pgfake.XLogData(2*segmentSize, 2*segmentSize, make([]byte, 100))),
			err:    "(at 0/200000, expected 0/100000)",
		},
		"WAL from the middle of a segment": {
			tamper: pgfake.Replace(pgfake.At{Part: pgfake.PartWAL, N: 0}, pgfake.XLogData(segmentSize+8192, 2*segmentSize, make([]byte, 100))),
			err:    "received write-ahead log record for offset 8192 with no file open",
		},
		"the next timeline is the same": {
			cluster: &pgfake.Cluster{Version: "17.2", SegmentSize: segmentSize, Flush: 9 * segmentSize, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 2 * segmentSize}}},
			tamper:  pgfake.Replace(pgfake.At{Part: pgfake.PartTimeline, N: 1}, pgfake.Row("1", "0/200000")),
			err:     "server reported unexpected next timeline 1, following timeline 1",
		},
		"the next timeline begins later": {
			cluster: &pgfake.Cluster{Version: "17.2", SegmentSize: segmentSize, Flush: 9 * segmentSize, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 2 * segmentSize}}},
			tamper:  pgfake.Replace(pgfake.At{Part: pgfake.PartTimeline, N: 1}, pgfake.Row("2", "0/200001")),
			err:     "server stopped streaming timeline 1 at 0/200000, but reported next timeline 2 to begin at 0/200001",
		},
		"an error in the stream": {
			tamper: pgfake.Before(pgfake.At{Part: pgfake.PartWAL, N: 2}, pgfake.Error("FATAL", "57P01", "terminating connection due to administrator command"), pgfake.Close(pgfake.FIN)),
			err:    "terminating connection due to administrator command", code: "57P01",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.cluster == nil {
				c.cluster = cluster(9 * segmentSize)
			}
			c.cluster.Tamper = c.tamper
			s := pgfake.Serve(t, c.cluster)
			c.options.Conn = dial(t, s.ConnString())
			c.options.Sink = &discard{}
			err := start(t, c.options).wait(t)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want %s", err, c.err)
			}
			if c.code != "" && !replproto.HasCode(err, c.code) {
				t.Errorf("SQLSTATE %s is not in %v", c.code, err)
			}
		})
	}
}

func TestOldServersAreRefusedByVersion(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "9.2.24"})
	_, err := walstream.New(walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{}, Start: 1, Timeline: 1, SegmentSize: segmentSize})
	const want = "incompatible server version 9.2.24; client does not support streaming from server versions older than 9.3"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestStreamsFromEveryVersionSince93(t *testing.T) {
	for _, version := range []string{"9.3.25", "9.4.26", "9.6.24", "10.23", "11.22", "14.1", "15.3", "19devel"} {
		t.Run(version, func(t *testing.T) {
			size := int64(16 << 20)
			c := &pgfake.Cluster{Version: version, SegmentSize: size, Flush: lsn.LSN(size) + 100000}
			s := pgfake.Serve(t, c)
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{}, SegmentSize: size, Start: lsn.LSN(size)})
			r.StopAt(c.Flush)
			r.mustEnd(t)
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	conn := dial(t, pgfake.Serve(t, cluster(0)).ConnString())
	good := walstream.Options{Conn: conn, Sink: &discard{}, Start: 1, Timeline: 1, SegmentSize: segmentSize}
	for name, spoil := range map[string]func(*walstream.Options){
		"no connection": func(o *walstream.Options) { o.Conn = nil },
		"no sink":       func(o *walstream.Options) { o.Sink = nil },
		"no start":      func(o *walstream.Options) { o.Start = 0 },
		"no timeline":   func(o *walstream.Options) { o.Timeline = 0 },
		"segment size":  func(o *walstream.Options) { o.SegmentSize = 3 << 20 },
	} {
		o := good
		spoil(&o)
		if _, err := walstream.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLostConnectionIsResumedAtTheByte(t *testing.T) {
	const flush = 3*segmentSize + 300000
	for _, after := range []int64{300, 5000, 150000, segmentSize + 1000, 2*segmentSize + 99999} {
		for _, split := range []int{0, 1500} {
			c := cluster(flush)
			c.LogChunk = 10000
			c.SplitWrites = split
			c.Faults = func(n int) []pgfake.Fault {
				if n > 0 {
					return nil
				}
				return []pgfake.Fault{{After: after + 2000, Kind: pgfake.FIN}}
			}
			s := pgfake.Serve(t, c)
			dir := t.TempDir()
			sink := archiveDirectory(t, dir)
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink})
			if err := r.wait(t); !errors.Is(err, replproto.ErrConnectionLost) {
				t.Errorf("lost after %d bytes: %v", after, err)
			}
			p := r.Progress()
			r = start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Start: p.Written, Timeline: p.Timeline})
			r.StopAt(flush)
			r.mustEnd(t)
			files := readTree(t, dir)
			checkSegments(t, files, ".partial", func(start, end lsn.LSN) []byte { return c.LogBytes(1, start, end) }, 1, segmentSize, flush, segmentSize)
			checkNoMore(t, files)
		}
	}
}

func TestCancelledContextEndsRunWithItsCause(t *testing.T) {
	c := cluster(segmentSize + 100000)
	s := pgfake.Serve(t, c)
	before := runtime.NumGoroutine()
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{}, StatusInterval: time.Millisecond, Slot: ""})
	r.waitWritten(t, segmentSize+100000)
	cause := errors.New("enough")
	r.cancel(cause)
	if err := r.wait(t); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestSinkErrorEndsRun(t *testing.T) {
	full := errors.New("no space left on device")
	for name, sink := range map[string]*discard{
		"write":           {onWrite: func() error { return full }},
		"background sync": {durable: true, syncErr: func() error { return full }},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(2*segmentSize + 100000)
			c.Slots = []pgfake.Slot{{Name: "s"}}
			s := pgfake.Serve(t, c)
			r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Slot: "s"})
			err := r.wait(t)
			if !errors.Is(err, full) || strings.Count(err.Error(), full.Error()) != 1 {
				t.Errorf("got %v", err)
			}
			for _, st := range c.Statuses() {
				if st.Flush > segmentSize {
					t.Errorf("%s was reported as flushed", st.Flush)
				}
			}
		})
	}
}
