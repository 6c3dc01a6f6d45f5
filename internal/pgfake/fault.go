package pgfake

import (
	"fmt"
	"io"
	"net"
	"sync"
)

const outputBufferSize = 64 << 10

// output is the server's side of a connection: what was sent, in pieces, up to
// a place where it is cut.
type output struct {
	buf    []byte
	sent   int64
	split  int
	faults []Fault // what is left, ascending
}

// CloseKind is how a server leaves.
type CloseKind int

const (
	// FIN closes in good order: the client reads to the end of what was sent
	// and then sees the end of the stream.
	FIN CloseKind = iota
	// RST resets: the client's next call fails, and what it has not read yet
	// may be lost.
	RST
	// Hang stays connected and says nothing more, until the client or the test
	// ends. What the client sends is read and thrown away.
	Hang
)

func (k CloseKind) String() string { return [...]string{"FIN", "RST", "Hang"}[k] }

// Fault happens when the server has sent After bytes on the connection, counted
// from the first byte of its answer to the startup packet (the one-byte answers
// to encryption requests count).
type Fault struct {
	After int64
	// Gate, if not nil, stalls at this place until it is released, and the
	// connection goes on after that. Otherwise it ends as Kind says.
	Gate *Gate
	Kind CloseKind
}

func (o *output) flush(c *Conn) error {
	for p := o.buf; len(p) > 0; {
		n := len(p)
		if o.split > 0 {
			n = min(n, o.split)
		}
		if len(o.faults) > 0 {
			n = int(max(0, min(int64(n), o.faults[0].After-o.sent)))
		}
		if n > 0 {
			// Counted before a client can have seen it, who may then ask for Sent.
			c.s.sent.Add(int64(n))
			w, err := c.nc.Write(p[:n])
			o.sent += int64(w)
			if err != nil {
				c.s.sent.Add(int64(w - n))
				return gone(err)
			}
			p = p[n:]
		}
		for len(o.faults) > 0 && o.sent >= o.faults[0].After {
			f := o.faults[0]
			o.faults = o.faults[1:]
			if err := c.suffer(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Conn) suffer(f Fault) error {
	if f.Gate != nil {
		return f.Gate.wait(c)
	}
	return c.leave(f.Kind)
}

// leave ends the connection and its script.
func (c *Conn) leave(kind CloseKind) error {
	c.idle.Store(true)
	switch kind {
	case RST:
		reset(c.nc)
	case FIN:
		closeWrite(c.nc)
		// Closing with unread input would turn the FIN into a reset.
		io.Copy(io.Discard, c.nc)
		c.nc.Close()
	case Hang:
		io.Copy(io.Discard, c.nc)
	}
	return ended(fmt.Errorf("%v after %d bytes", kind, c.out.sent))
}

// reset makes the peer see a connection reset where the network has such a
// thing (Unix sockets have not, and see the end).
func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// Close ends the connection at this place.
func Close(kind CloseKind) Message {
	return Message{what: "Close " + kind.String(), do: func(c *Conn) error { return c.leave(kind) }}
}

// SplitWrites sends everything that follows in pieces of n bytes, each written
// by itself with Nagle's algorithm off; 0 ends that. A client that reads slowly
// may still find several pieces together.
func SplitWrites(n int) Message {
	return Message{what: fmt.Sprintf("SplitWrites(%d)", n), do: func(c *Conn) error {
		c.out.split = n
		return nil
	}}
}

// Flushed makes what was sent so far leave at once, so that it does not reach
// the client together with what follows.
func Flushed() Message {
	return Message{what: "Flushed", do: func(*Conn) error { return nil }}
}

// Gate is a place where a server stalls until the test lets it go on.
type Gate struct {
	reached, released         chan struct{}
	reachedOnce, releasedOnce sync.Once
}

// NewGate is a closed gate.
func NewGate() *Gate {
	return &Gate{reached: make(chan struct{}), released: make(chan struct{})}
}

// Reached is closed when the first connection stands at the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Release opens the gate for good.
func (g *Gate) Release() { g.releasedOnce.Do(func() { close(g.released) }) }

func (g *Gate) wait(c *Conn) error {
	g.reachedOnce.Do(func() { close(g.reached) })
	was := c.idle.Swap(true)
	select {
	case <-g.released:
		c.idle.Store(was)
		return nil
	case <-c.s.closing:
		return ended(fmt.Errorf("the test ended at a gate"))
	}
}

// Stall waits at the gate; nothing is read from the client meanwhile. A test
// may end without releasing it.
func Stall(g *Gate) Message { return Message{what: "Stall", do: g.wait} }

func closeWrite(nc net.Conn) {
	if h, ok := nc.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}
