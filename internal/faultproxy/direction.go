package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// armed is a fault that waits for its place on one connection.
type armed struct {
	*Fault
	place place
	done  bool
}

// direction forwards what one side sends. Its fields below armed are guarded by
// the link's mutex.
type direction struct {
	link     *link
	side     Side
	from, to net.Conn

	armed  []*armed
	framer framer
	passed int64 // bytes that were forwarded, or lost
	lost   bool
	pieces func(header, first bool, left int) int // how much of what is left goes alone; nil is all
	delay  time.Duration
	merge  int
	limit  int // bytes a second
	merged []byte
}

func (d *direction) run() {
	defer d.link.p.wg.Done()
	buf := make([]byte, 64<<10)
	held := 0
	for {
		if len(d.merged) > 0 {
			d.from.SetReadDeadline(time.Now().Add(mergeWait))
		}
		n, err := d.from.Read(buf[held:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			d.from.SetReadDeadline(time.Time{})
			if n == 0 {
				if !d.flush() {
					return
				}
				continue
			}
			err = nil
		}
		rest, ok := d.take(buf[:held+n])
		if !ok {
			return
		}
		held = copy(buf, rest)
		if err != nil {
			d.ended(err)
			return
		}
	}
}

// ended is for what has no more to say.
func (d *direction) ended(err error) {
	d.flush()
	l := d.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != open || d.lost {
		return
	}
	switch {
	case err != io.EOF:
		l.end(true)
	case d.side == Client:
		closeWrite(d.to) // the server may still have something to say
	default:
		l.end(false)
	}
}

// take forwards b but for what is not known to be a message's header yet.
func (d *direction) take(b []byte) (rest []byte, ok bool) {
	begin := 0 // of what was framed and is not forwarded yet
	at := 0
	for at < len(b) {
		d.link.mu.Lock()
		n, kind := d.framer.next(b[at:])
		shaped := d.pieces != nil
		if kind != "" {
			d.tell(kind, d.passed+int64(at-begin))
		}
		d.link.mu.Unlock()
		if n == 0 {
			break
		}
		if shaped {
			if !d.forward(b[begin:at], false) || !d.forward(b[at:at+n], kind != "") {
				return nil, false
			}
			begin = at + n
		}
		at += n
	}
	return b[at:], d.forward(b[begin:at], false)
}

// tell lets the faults know of a message. The link is locked.
func (d *direction) tell(kind string, at int64) {
	for _, a := range d.armed {
		a.place.message(kind, at)
	}
	if command, ok := strings.CutPrefix(kind, "Q"); ok && d.side == Client {
		other := d.link.directions[Server]
		for _, a := range other.armed {
			a.place.sent(command, other.passed)
		}
	}
}

// forward passes b on, and does what is to happen before, in, or right after it.
func (d *direction) forward(b []byte, header bool) bool {
	for {
		if !d.stalled() {
			return false
		}
		d.link.mu.Lock()
		next, fault := len(b), (*armed)(nil)
		for _, a := range d.armed {
			if a.done || !a.place.known {
				continue
			}
			if far := max(0, a.place.at-d.passed); far <= int64(next) && (fault == nil || far < int64(next)) {
				next, fault = int(far), a
			}
		}
		if next == 0 && fault != nil {
			if len(b) == 0 && fault.place.at == 0 {
				// Nothing has come yet: it happens before the first byte.
				d.link.mu.Unlock()
				return true
			}
			fault.done = true
			d.link.mu.Unlock()
			if !d.flush() || !d.strike(fault) {
				return false
			}
			continue
		}
		d.link.mu.Unlock()
		if next == 0 {
			return true
		}
		if !d.send(b[:next], header) {
			return false
		}
		b, header = b[next:], false
	}
}

func (d *direction) strike(a *armed) bool {
	l := d.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != open {
		return false
	}
	ok := a.action.apply(d)
	l.touch()
	a.once.Do(func() { close(a.struck) })
	return ok
}

// stalled waits while the connection is stalled, and returns false if it is over.
func (d *direction) stalled() bool {
	l := d.link
	for {
		l.p.mu.Lock()
		stalling, changed := l.p.stalling, l.p.changed
		l.p.mu.Unlock()
		l.mu.Lock()
		gate, touched, st := l.gate, l.touched, l.state
		l.mu.Unlock()
		if st != open {
			return false
		}
		if stalling == nil {
			stalling = gate
		}
		if stalling == nil {
			return true
		}
		select {
		case <-stalling.open:
			l.mu.Lock()
			if l.gate == stalling {
				l.gate = nil
			}
			l.mu.Unlock()
		case <-touched:
		case <-changed:
		case <-l.over:
			return false
		}
	}
}
