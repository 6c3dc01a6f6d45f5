package walstream_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/walstream"
)

// ledger is a sink that knows up to which position it was synced.
type ledger struct {
	walstream.Sink
	mu      sync.Mutex
	written lsn.LSN
	durable map[lsn.LSN]bool // positions for which a Sync returned
	syncs   int
	writes  int
}

func newLedger(sink walstream.Sink, start lsn.LSN) *ledger {
	return &ledger{Sink: sink, written: start, durable: map[lsn.LSN]bool{}}
}

func (l *ledger) Write(p []byte) (int, error) {
	n, err := l.Sink.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written += lsn.LSN(n)
	l.writes++
	return n, err
}

func (l *ledger) Sync() (bool, error) {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	durable, err := l.Sink.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncs++
	if durable {
		l.durable[written] = true
		// A sync that began after segments were closed, and found more, covers
		// them all the same.
		for end := written - written%segmentSize; end > 0; end -= segmentSize {
			l.durable[end] = true
		}
	}
	return durable, err
}

func (l *ledger) counts() (writes, syncs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes, l.syncs
}

func lastStatus(c *pgfake.Cluster) (s pgfake.Status) {
	if all := c.Statuses(); len(all) > 0 {
		s = all[len(all)-1]
	}
	return s
}

// checkStatuses holds every status to the rules: positions that never go back,
// nothing flushed that was not written, or not synced, and nothing applied.
func checkStatuses(t *testing.T, c *pgfake.Cluster, synced func(lsn.LSN) bool) {
	t.Helper()
	var last pgfake.Status
	for _, s := range c.Statuses() {
		switch {
		case s.Apply != 0:
			t.Errorf("apply position %s", s.Apply)
		case s.Flush > s.Write:
			t.Errorf("flush %s is beyond write %s", s.Flush, s.Write)
		case s.Write < last.Write || (s.Flush < last.Flush && s.Flush != 0):
			t.Errorf("status went back from %+v to %+v", last, s)
		case !synced(s.Flush):
			t.Errorf("flush %s was reported and not synced", s.Flush)
		}
		last = s
	}
}

func TestWithoutSlotNoFlushPositionIsReported(t *testing.T) {
	const flush = 3*segmentSize + 100000
	c := cluster(flush)
	c.KeepaliveEvery, c.KeepaliveAsks = time.Millisecond, true
	s := pgfake.Serve(t, c)
	sink, _ := backupDirectory(t)
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, StatusInterval: time.Millisecond})
	eventually(t, "the write position is reported", func() bool { return lastStatus(c).Write == flush })
	r.StopAt(flush)
	r.mustEnd(t)
	checkStatuses(t, c, func(pos lsn.LSN) bool { return pos == 0 })
}

func TestSlotAdvancesWithSyncedSegmentsOnly(t *testing.T) {
	const flush = 4*segmentSize + 100000
	for name, partial := range map[string]bool{"backup": false, "archive": true} {
		t.Run(name, func(t *testing.T) {
			c := cluster(flush)
			c.LogChunk = 5000
			c.Slots = []pgfake.Slot{{Name: "s"}}
			s := pgfake.Serve(t, c)
			d := walstream.NewDirectory(walstream.DirectoryOptions{Path: t.TempDir(), Partial: partial})
			t.Cleanup(func() { d.Close() })
			sink := newLedger(d, segmentSize)
			start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Slot: "s", StatusInterval: time.Millisecond})
			eventually(t, "the last whole segment is reported", func() bool { return lastStatus(c).Flush == 4*segmentSize })
			sink.mu.Lock()
			defer sink.mu.Unlock()
			checkStatuses(t, c, func(pos lsn.LSN) bool { return pos == segmentSize || sink.durable[pos] })
		})
	}
}

func TestServerThatAsksGetsWhatIsSyncedForIt(t *testing.T) {
	const flush = segmentSize + 100000
	c := cluster(flush)
	c.KeepaliveEvery, c.KeepaliveAsks = 10*time.Millisecond, true
	c.Slots = []pgfake.Slot{{Name: "s"}}
	s := pgfake.Serve(t, c)
	sink := newLedger(archiveDirectory(t, t.TempDir()), segmentSize)
	start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Slot: "s"})
	eventually(t, "the flush position is reported", func() bool { return lastStatus(c).Flush == flush })
	n := len(c.Statuses())
	eventually(t, "more requests are answered", func() bool { return len(c.Statuses()) > n+2 })
	if _, syncs := sink.counts(); syncs != 1 {
		t.Errorf("%d syncs for one batch", syncs)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	checkStatuses(t, c, func(pos lsn.LSN) bool { return pos == segmentSize || sink.durable[pos] })
}

func TestSynchronousReceiverAcknowledgesEveryBatchAtOnce(t *testing.T) {
	pos := lsn.LSN(segmentSize + 8192)
	c := cluster(pos)
	s := pgfake.Serve(t, c)
	sink := newLedger(archiveDirectory(t, t.TempDir()), segmentSize)
	// No StatusInterval and no request: what comes is the acknowledgement.
	start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Synchronous: true})
	const steps = 150
	for range steps {
		want := pos
		eventually(t, "the commit is acknowledged", func() bool { return lastStatus(c).Flush == want })
		pos += 8192 // on into the next segment
		c.Advance(pos)
	}
	writes, syncs := sink.counts()
	if syncs > steps+1 || writes > steps+3 {
		t.Errorf("%d syncs and %d writes for %d commits", syncs, writes, steps)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	checkStatuses(t, c, func(pos lsn.LSN) bool { return pos == 0 || sink.durable[pos] })
}

func TestSinkThatCannotSyncLeavesTheFlushPositionUnknown(t *testing.T) {
	const flush = 3*segmentSize + 100000
	c := cluster(flush)
	c.Slots = []pgfake.Slot{{Name: "s"}}
	s := pgfake.Serve(t, c)
	sink := walstream.NewTar(tarstream.NewWriter(&limited{n: 1 << 30}), walstream.TarOptions{})
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: sink, Slot: "s", StatusInterval: time.Millisecond})
	eventually(t, "everything is reported as written and not flushed", func() bool { l := lastStatus(c); return l.Write == flush && l.Flush == 0 })
	r.StopAt(flush)
	r.mustEnd(t)
	checkStatuses(t, c, func(pos lsn.LSN) bool { return pos == 0 || pos == segmentSize })
}

func TestStatusFlowsWhileTheSinkStalls(t *testing.T) {
	// Little enough for the sockets to hold: unlike a real server, the fake one
	// reads nothing while what it sends is stuck.
	const flush = 2*segmentSize + 10000
	for name, o := range map[string]walstream.Options{
		"sync of a segment": {Slot: "s"},
		"sync of a batch":   {Synchronous: true},
		"write":             {},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(flush)
			c.Slots = []pgfake.Slot{{Name: "s"}}
			c.KeepaliveEvery, c.KeepaliveAsks = time.Millisecond, true
			s := pgfake.Serve(t, c)
			release := make(chan struct{})
			sink := &discard{durable: true}
			stalled := sink.syncing
			if name == "write" {
				reached := make(chan struct{})
				sink.onWrite = sync.OnceValue(func() error { close(reached); <-release; return nil })
				stalled = func() bool {
					select {
					case <-reached:
						return true
					default:
						return false
					}
				}
			} else {
				sink.blockSync = release
			}
			o.Conn, o.Sink = dial(t, s.ConnString()), sink
			start(t, o)
			t.Cleanup(sync.OnceFunc(func() { close(release) })) // before the receiver is waited for
			eventually(t, "the sink stalls", stalled)
			n := len(c.Statuses())
			eventually(t, "statuses come all the same", func() bool { return len(c.Statuses()) >= n+3 })
			checkStatuses(t, c, func(pos lsn.LSN) bool { return pos == 0 || pos == segmentSize })
		})
	}
}
