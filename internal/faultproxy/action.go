package faultproxy

import (
	"sync"
	"time"
)

// An Action is what happens to a connection. Those that shape how bytes arrive
// are replaced by the next one of their kind.
type Action struct {
	name  string
	apply func(d *direction) bool // false: d forwards nothing more. The link is locked
}

func (a Action) String() string { return a.name }

var (
	// Cut ends the connection with FIN on both sides: what was sent before still
	// arrives.
	Cut = Action{"cut", func(d *direction) bool { d.link.end(false); return false }}
	// Reset ends it with RST on both sides: what was not read yet may be lost.
	Reset = Action{"reset", func(d *direction) bool { d.link.end(true); return false }}
	// HalfClose ends this direction with FIN; the other one goes on.
	HalfClose = Action{"half-close", func(d *direction) bool { closeWrite(d.to); return false }}
	// Vanish is what a client sees of a server whose host is gone: its socket
	// stays open, what it sends is taken, and nothing ever comes. The server sees
	// the connection closed, as its own host's end would have it.
	Vanish = Action{"vanish", func(d *direction) bool { d.link.vanish(); return false }}
	// Lose makes everything vanish that this side sends from here on, its FIN
	// included. The other direction goes on.
	Lose = Action{"lose", func(d *direction) bool { d.lost = true; return true }}
	// Split sends the header of each message byte by byte, and the first and the
	// last byte of each piece of its body alone.
	Split = Action{"split", func(d *direction) bool { d.pieces = split; return true }}
	// Bytewise sends every byte alone.
	Bytewise = Action{"bytewise", func(d *direction) bool { d.pieces = bytewise; return true }}
)

// LoseOther is Lose for what the other side sends.
var LoseOther = Action{"lose-other", func(d *direction) bool { d.link.directions[d.side.other()].lost = true; return true }}

// Stall forwards nothing more in either direction until the gate opens; nil is for
// ever.
func Stall(g *Gate) Action {
	return Action{"stall", func(d *direction) bool {
		d.link.gate = g
		if g == nil {
			d.link.gate = NewGate()
		}
		return true
	}}
}

// Delay lets every piece that arrives wait so long.
func Delay(each time.Duration) Action {
	return Action{"delay", func(d *direction) bool { d.delay = each; return true }}
}

// Merge holds bytes back until there are so many of them, or for a moment.
func Merge(bytes int) Action {
	return Action{"merge", func(d *direction) bool { d.merge = bytes; return true }}
}

// Limit forwards so many bytes a second at most.
func Limit(bytesPerSecond int) Action {
	return Action{"limit", func(d *direction) bool { d.limit = bytesPerSecond; return true }}
}

// A Gate is where stalled connections wait.
type Gate struct {
	once sync.Once
	open chan struct{}
}

func NewGate() *Gate { return &Gate{open: make(chan struct{})} }

// Open lets everything go on. It may be called again.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }
