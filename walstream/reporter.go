package walstream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// stallInterval is how long the sink may be busy before status messages are
// sent on its behalf, and the time between these. While the sink is busy nothing
// is read, so that a request of the server for a reply may go unseen; the
// shortest wal_sender_timeout that anybody sets is a second or two.
const stallInterval = 200 * time.Millisecond

// reporter tells the server how far the WAL has come, from a goroutine of its
// own where time matters, so that a slow sink does not look like a dead
// connection. It repeats the last known positions then.
type reporter struct {
	interval time.Duration

	write atomic.Uint64 // end of what is in the sink
	flush atomic.Uint64 // end of what is durable; 0 = not known

	// mu serialises all that is sent, so that nothing follows the end of the
	// stream.
	mu   sync.Mutex
	rep  replication // nil when no stream is under way
	fail error       // of the first message that could not be sent

	failed atomic.Bool
	busy   atomic.Bool // the sink may be at work
	stall  *time.Timer // runs while busy
	quit   chan struct{}
	ended  chan struct{}
}

// begin takes up a stream.
func (p *reporter) begin(rep replication) {
	p.mu.Lock()
	p.rep, p.fail = rep, nil
	p.mu.Unlock()
	p.failed.Store(false)
	p.busy.Store(false)
	p.stall = time.NewTimer(stallInterval)
	p.stall.Stop()
	p.quit, p.ended = make(chan struct{}), make(chan struct{})
	go p.loop()
}

// end gives the stream up; nothing is sent on it afterwards. A message that
// cannot be sent and blocks has to be interrupted through the stream's context.
func (p *reporter) end() {
	close(p.quit)
	<-p.ended
	p.mu.Lock()
	p.rep = nil
	p.mu.Unlock()
}

func (p *reporter) loop() {
	defer close(p.ended)
	var due <-chan time.Time
	if p.interval > 0 {
		p.send(false)
		tick := time.NewTicker(p.interval)
		defer tick.Stop()
		due = tick.C
	}
	defer p.stall.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-due:
			p.send(false)
		case <-p.stall.C:
			if p.busy.Load() {
				p.send(false)
				p.stall.Reset(stallInterval)
			}
		}
	}
}

// working and waiting bracket the time in which nothing is read.
func (p *reporter) working() {
	if !p.busy.Load() {
		p.busy.Store(true)
		p.stall.Reset(stallInterval)
	}
}

func (p *reporter) waiting() {
	if p.busy.Load() {
		p.busy.Store(false)
		p.stall.Stop()
	}
}

// report sends the positions.
func (p *reporter) report() { p.send(false) }

// ping makes the server send something, if a stream is under way.
func (p *reporter) ping() { p.send(true) }

func (p *reporter) send(replyRequested bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rep == nil || p.fail != nil {
		return
	}
	// Flush first: it must not exceed the write position.
	s := replproto.Status{Flush: lsn.LSN(p.flush.Load()), ReplyRequested: replyRequested}
	s.Write = lsn.LSN(p.write.Load())
	if err := p.rep.SendStatus(s); err != nil {
		p.fail = fmt.Errorf("could not send feedback packet: %w", err)
		p.failed.Store(true)
	}
}

// stop ends the stream from this side; no status is sent after that.
func (p *reporter) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rep := p.rep
	p.rep = nil
	if err := rep.Stop(); err != nil {
		return fmt.Errorf("could not send copy-end packet: %w", err)
	}
	return nil
}

// err tells that messages do not get through any more.
func (p *reporter) err() error {
	if !p.failed.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fail
}
