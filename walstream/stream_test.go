package walstream

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

const testSegment = wal.MinSegmentSize

// batches is a stream whose messages come in batches.
type batches struct {
	queue [][]replproto.Message
	at    int
	sent  []replproto.Status
	count bool // keep no statuses
	flows bool // the next batch has always arrived when one ends
	n     int
	next  *replproto.TimelineSwitch
}

func (b *batches) Buffered() bool {
	return len(b.queue) > 0 && b.at < len(b.queue[0]) && (b.at > 0 || b.flows)
}

func (b *batches) Arrived() bool {
	if !b.Buffered() && b.flows && len(b.queue) > 1 {
		b.queue, b.at = b.queue[1:], 0
		return true
	}
	return b.Buffered()
}

func (b *batches) Receive() (replproto.Message, error) {
	if len(b.queue) > 0 && b.at == len(b.queue[0]) {
		b.queue, b.at = b.queue[1:], 0
	}
	if len(b.queue) == 0 {
		return nil, io.EOF
	}
	b.at++
	return b.queue[0][b.at-1], nil
}

func (b *batches) SendStatus(s replproto.Status) error {
	b.n++
	if !b.count {
		b.sent = append(b.sent, s)
	}
	return nil
}

func (b *batches) Stop() error                             { return nil }
func (b *batches) End() (*replproto.TimelineSwitch, error) { return b.next, nil }

// recorder is a sink that notes what is asked of it.
type recorder struct {
	ops []string
	off bool
}

func (r *recorder) op(name string) {
	if !r.off {
		r.ops = append(r.ops, name)
	}
}

func (r *recorder) OpenSegment(s Segment) error           { r.op("open " + s.Name); return nil }
func (r *recorder) Write(p []byte) (int, error)           { r.op("write"); return len(p), nil }
func (r *recorder) CloseSegment() error                   { r.op("close"); return nil }
func (r *recorder) Sync() (bool, error)                   { r.op("sync"); return true, nil }
func (r *recorder) WriteFile(name string, _ []byte) error { r.op("file " + name); return nil }
func (r *recorder) Exists(string) (bool, error)           { return false, nil }

func receiver(sink Sink, synchronous bool) *Receiver {
	r := newReceiver(Options{Sink: sink, Start: testSegment, Timeline: 1, SegmentSize: testSegment, Synchronous: synchronous, MarkDone: true})
	r.cancel = func(error) {}
	return r
}

func data(pos *lsn.LSN, n int) *replproto.XLogData {
	x := &replproto.XLogData{Start: *pos, Data: make([]byte, n)}
	*pos += lsn.LSN(n)
	return x
}

func TestBatchIsOneWriteOneSyncAndOneStatus(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &batches{queue: [][]replproto.Message{
		{data(&pos, 100), data(&pos, 200), data(&pos, 8000), &replproto.Keepalive{}},
		{data(&pos, 1)},
		{&replproto.Keepalive{}},
	}}
	sink := &recorder{}
	r := receiver(sink, true)
	if _, err := r.receive(rep); !errors.Is(err, ErrTerminated) {
		t.Error(err)
	}
	want := []string{"open 000000010000000000000001", "write", "sync", "write", "sync", "close"}
	if !slices.Equal(sink.ops, want) {
		t.Errorf("got %q, want %q", sink.ops, want)
	}
	if len(rep.sent) != 2 || rep.sent[0].Flush != testSegment+8300 || rep.sent[1].Flush != testSegment+8301 {
		t.Errorf("statuses %+v", rep.sent)
	}
}

func TestWhatComesWhileABatchIsWrittenJoinsItOnce(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &batches{flows: true}
	for range 5 {
		rep.queue = append(rep.queue, []replproto.Message{data(&pos, 100)})
	}
	sink := &recorder{}
	if _, err := receiver(sink, true).receive(rep); !errors.Is(err, ErrTerminated) {
		t.Error(err)
	}
	want := []string{"open 000000010000000000000001", "write", "write", "sync", "write", "write", "sync", "write", "sync", "close"}
	if !slices.Equal(sink.ops, want) {
		t.Errorf("got %q, want %q", sink.ops, want)
	}
	if len(rep.sent) != 3 || rep.sent[0].Flush != testSegment+200 || rep.sent[2].Flush != pos {
		t.Errorf("statuses %+v", rep.sent)
	}
}

func TestMessageAcrossASegmentBoundaryIsSplit(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &batches{queue: [][]replproto.Message{{data(&pos, testSegment-10)}, {data(&pos, 2*testSegment)}}}
	sink := &recorder{}
	if _, err := receiver(sink, false).receive(rep); !errors.Is(err, ErrTerminated) {
		t.Error(err)
	}
	want := []string{
		"open 000000010000000000000001", "write", "write", "close", "file archive_status/000000010000000000000001.done",
		"open 000000010000000000000002", "write", "close", "file archive_status/000000010000000000000002.done",
		"open 000000010000000000000003", "write", "close",
	}
	if !slices.Equal(sink.ops, want) {
		t.Errorf("got %q, want %q", sink.ops, want)
	}
}

func TestNothingIsKeptBeyondTheSegmentThatEndsAtTheStopPoint(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &batches{queue: [][]replproto.Message{{data(&pos, testSegment-10)}, {data(&pos, 100)}}}
	sink := &recorder{}
	r := receiver(sink, false)
	r.StopAt(2 * testSegment)
	if next, err := r.receive(rep); next != nil || err != nil {
		t.Error(next, err)
	}
	want := []string{"open 000000010000000000000001", "write", "write", "close", "file archive_status/000000010000000000000001.done", "sync"}
	if !slices.Equal(sink.ops, want) {
		t.Errorf("got %q, want %q", sink.ops, want)
	}
	if p := r.Progress(); p.Written != 2*testSegment {
		t.Errorf("written %s", p.Written)
	}
}

func TestWALBeyondTheStopPointInTheSameMessageStays(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &batches{queue: [][]replproto.Message{{data(&pos, 100), data(&pos, 100), data(&pos, 100)}}}
	r := receiver(&recorder{}, false)
	r.StopAt(testSegment + 150)
	if next, err := r.receive(rep); next != nil || err != nil {
		t.Error(next, err)
	}
	if p := r.Progress(); p.Written != testSegment+200 {
		t.Errorf("written %s", p.Written)
	}
}

func TestLossOfTheConnectionAfterTheStopPointIsNoError(t *testing.T) {
	for name, end := range map[string]error{"lost": errDeaf, "shut down": io.EOF} {
		pos := lsn.LSN(testSegment)
		rep := &told{batches: batches{queue: [][]replproto.Message{{data(&pos, 100)}}}, end: end}
		rep.r = receiver(&recorder{}, false)
		if next, err := rep.r.receive(rep); next != nil || err != nil {
			t.Errorf("%s: %v, %v", name, next, err)
		}
		if p := rep.r.Progress(); p.Written != testSegment+100 {
			t.Errorf("%s: written %s", name, p.Written)
		}
	}
}

// told ends while its receiver waits for more, just after the stop point was
// told.
type told struct {
	batches
	r   *Receiver
	end error
}

func (s *told) Receive() (replproto.Message, error) {
	m, err := s.batches.Receive()
	if err != nil {
		s.r.StopAt(testSegment + 100)
		return nil, s.end
	}
	return m, nil
}

func TestMessagesThatCannotBeSentEndTheStream(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &deaf{batches{queue: [][]replproto.Message{{&replproto.Keepalive{ReplyRequested: true}}, {data(&pos, 100)}, {data(&pos, 100)}}}}
	_, err := receiver(&recorder{}, false).receive(rep)
	if !errors.Is(err, errDeaf) || err.Error() != "could not send feedback packet: deaf" {
		t.Errorf("got %v", err)
	}
}

var errDeaf = errors.New("deaf")

type deaf struct{ batches }

func (*deaf) SendStatus(replproto.Status) error { return errDeaf }

func TestSegmentThatCouldNotBeClosedDoesNotCount(t *testing.T) {
	pos := lsn.LSN(testSegment)
	rep := &batches{queue: [][]replproto.Message{{data(&pos, testSegment)}, {data(&pos, testSegment)}}}
	r := receiver(&stubborn{left: 1}, false)
	if _, err := r.receive(rep); !errors.Is(err, errDeaf) {
		t.Errorf("got %v", err)
	}
	if p := r.Progress(); p.Written != 2*testSegment {
		t.Errorf("written %s, want the start of the segment that failed", p.Written)
	}
}

// stubborn closes so many segments only.
type stubborn struct {
	recorder
	left int
}

func (s *stubborn) CloseSegment() error {
	if s.left--; s.left < 0 {
		return errDeaf
	}
	return nil
}

// endless is a stream of batches of two small and one large message.
type endless struct {
	batches
	pos lsn.LSN
	x   replproto.XLogData
	k   replproto.Keepalive
	at  int
	buf [130000]byte
	max int
}

func (e *endless) Buffered() bool { return e.at%4 != 0 }

func (e *endless) Receive() (replproto.Message, error) {
	if e.at++; e.at == e.max {
		return nil, io.EOF
	}
	n := 1000
	switch e.at % 4 {
	case 3:
		n = len(e.buf)
	case 0:
		e.k.ReplyRequested = true
		return &e.k, nil
	}
	e.x = replproto.XLogData{Start: e.pos, Data: e.buf[:n]}
	e.pos += lsn.LSN(n)
	return &e.x, nil
}

func TestReceivingAllocatesNothingPerMessage(t *testing.T) {
	for name, synchronous := range map[string]bool{"synchronous": true, "not synchronous": false} {
		t.Run(name, func(t *testing.T) {
			const messages = 4000
			segments := messages / 4 * 132000 / testSegment
			allocs := testing.AllocsPerRun(1, func() {
				rep := &endless{pos: testSegment, max: messages, batches: batches{count: true}}
				r := receiver(&recorder{off: true}, synchronous)
				r.o.MarkDone = false
				if _, err := r.receive(rep); !errors.Is(err, ErrTerminated) {
					t.Error(err)
				}
			})
			// A segment's name costs some.
			if limit := float64(100 + 10*segments); allocs > limit {
				t.Errorf("%.0f allocations for %d messages in %d segments", allocs, messages, segments)
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	r := receiver(&recorder{off: true}, true)
	r.o.MarkDone = false
	rep := &endless{pos: testSegment, max: 4 * b.N, batches: batches{count: true}}
	b.SetBytes(132000)
	b.ReportAllocs()
	r.receive(rep)
}
