package faultproxy

import (
	"io"
	"net"
	"sync"
)

// state of a link.
type state int

const (
	open     state = iota
	vanished       // the client's socket is open and gets nothing
	ended
)

// link is one forwarded connection.
type link struct {
	p              *Proxy
	client, server net.Conn
	directions     [2]*direction // by Side

	mu      sync.Mutex
	session session
	state   state
	over    chan struct{} // closed when the state is not open any more
	gate    *Gate         // of a stall
	touched chan struct{} // closed, and replaced, when the gate may have changed
}

func newLink(p *Proxy, client, server net.Conn) *link {
	l := &link{p: p, client: client, server: server, over: make(chan struct{}), touched: make(chan struct{})}
	l.directions[Server] = &direction{link: l, side: Server, from: server, to: client, framer: framer{session: &l.session, side: Server}}
	l.directions[Client] = &direction{link: l, side: Client, from: client, to: server, framer: framer{session: &l.session, side: Client}}
	return l
}

// start forwards, or ends at once what has no server.
func (l *link) start() {
	if l.server == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.state = ended
		close(l.over)
		reset(l.client)
		return
	}
	for _, d := range l.directions {
		l.p.wg.Add(1)
		go d.run()
	}
}

// end closes both sides. l.mu is locked.
func (l *link) end(rst bool) {
	if l.state != open {
		return
	}
	l.state = ended
	close(l.over)
	for _, nc := range []net.Conn{l.client, l.server} {
		if rst {
			reset(nc)
		} else {
			l.drain(nc)
		}
	}
	l.p.wake()
}

// vanish keeps the client's socket, and nothing behind it. l.mu is locked.
func (l *link) vanish() {
	if l.state != open {
		return
	}
	l.state = vanished
	close(l.over)
	l.server.Close()
	l.p.wg.Add(1)
	go func() {
		defer l.p.wg.Done()
		io.Copy(io.Discard, l.client)
		l.client.Close()
	}()
	l.p.wake()
}

// drain closes in good order: with input unread, closing would reset.
func (l *link) drain(nc net.Conn) {
	closeWrite(nc)
	l.p.wg.Add(1)
	go func() {
		defer l.p.wg.Done()
		io.Copy(io.Discard, nc)
		nc.Close()
	}()
}

// touch makes those who wait at a gate look again. l.mu is locked.
func (l *link) touch() {
	close(l.touched)
	l.touched = make(chan struct{})
}

// close ends everything, for the end of the test.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == open {
		l.state = ended
		close(l.over)
	}
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
}

func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

func closeWrite(nc net.Conn) {
	if h, ok := nc.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}
