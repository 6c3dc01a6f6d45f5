package faultproxy

import (
	"testing"
	"time"
)

// patience is how long the Wait methods wait before they fail the test.
const patience = 60 * time.Second

// Traffic counts one connection's bytes.
type Traffic struct {
	FromServer, FromClient int64
	Open                   bool
}

// Traffic is what was forwarded so far, by connection.
func (p *Proxy) Traffic() []Traffic {
	all := p.all()
	out := make([]Traffic, len(all))
	for i, l := range all {
		l.mu.Lock()
		out[i] = Traffic{l.directions[Server].passed, l.directions[Client].passed, l.state == open}
		l.mu.Unlock()
	}
	return out
}

// Connections is how many connections were accepted so far.
func (p *Proxy) Connections() int { return len(p.all()) }

// WaitConnections waits until so many connections were accepted.
func (p *Proxy) WaitConnections(t testing.TB, n int) {
	t.Helper()
	p.wait(t, "connections", func() bool { return p.Connections() >= n })
}

// WaitBytes waits until so many bytes of a side were forwarded on a connection.
func (p *Proxy) WaitBytes(t testing.TB, conn int, side Side, n int64) {
	t.Helper()
	p.wait(t, "bytes", func() bool {
		all := p.Traffic()
		if conn >= len(all) {
			return false
		}
		return side == Server && all[conn].FromServer >= n || side == Client && all[conn].FromClient >= n
	})
}

func (p *Proxy) wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("faultproxy: waited in vain for %s", what)
		}
	}
}
