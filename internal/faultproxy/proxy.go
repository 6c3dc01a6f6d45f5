package faultproxy

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy forwards connections to a server. All methods are safe for concurrent use.
type Proxy struct {
	network, target string
	addr            *net.TCPAddr
	wg              sync.WaitGroup
	closing         chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed, and replaced, when something has happened
	ln       net.Listener  // nil while connections are refused
	links    []*link
	faults   []*Fault
	dropped  map[int]bool
	stalling *Gate // of Stall; nil if there is none
}

// New forwards to target, host:port or the path of a Unix socket, until the end of
// the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Listen(target)
	if err != nil {
		t.Fatalf("faultproxy: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// Listen is New without a test. The caller closes it.
func Listen(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		network: "tcp", target: target, addr: ln.Addr().(*net.TCPAddr),
		closing: make(chan struct{}), changed: make(chan struct{}), dropped: map[int]bool{},
	}
	if target != "" && target[0] == '/' {
		p.network = "unix"
	}
	p.serve(ln)
	return p, nil
}

// Addr is the proxy's address as host:port; Host and Port are its parts.
func (p *Proxy) Addr() string { return p.addr.String() }
func (p *Proxy) Host() string { return p.addr.IP.String() }
func (p *Proxy) Port() int    { return p.addr.Port }

// Fault is an action and where it happens.
type Fault struct {
	conn   int
	side   Side
	point  Point
	action Action
	once   sync.Once
	struck chan struct{}
}

// On arms a fault: what side sends on the n-th connection, or on every one with
// Any, is forwarded up to the point, and then the action happens. It holds for
// connections that are open, whose messages are counted from now on, and for those
// that are accepted later. Of several at one point, the one that was armed first is
// the first.
func (p *Proxy) On(n int, side Side, at Point, do Action) *Fault {
	f := &Fault{conn: n, side: side, point: at, action: do, struck: make(chan struct{})}
	p.mu.Lock()
	p.faults = append(p.faults, f)
	there := slices.Clone(p.links)
	p.mu.Unlock()
	for i, l := range there {
		if n == i || n == Any {
			l.mu.Lock()
			d := l.directions[side]
			d.armed = append(d.armed, &armed{Fault: f, place: newPlace(at)})
			l.mu.Unlock()
		}
	}
	return f
}

// Drop ends the n-th connection as soon as it was accepted.
func (p *Proxy) Drop(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped[n] = true
}

// Disarm takes back all faults, for connections that are accepted from now on.
func (p *Proxy) Disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
	clear(p.dropped)
}

// Struck waits until the fault has happened, once at least.
func (f *Fault) Struck(t testing.TB) {
	t.Helper()
	select {
	case <-f.struck:
	case <-time.After(patience):
		t.Fatalf("faultproxy: %v on connection %d of the %v at %v has not happened", f.action, f.conn, f.side, f.point)
	}
}

// Happened is closed when the fault has happened.
func (f *Fault) Happened() <-chan struct{} { return f.struck }

// HasStruck tells whether it has happened.
func (f *Fault) HasStruck() bool {
	select {
	case <-f.struck:
		return true
	default:
		return false
	}
}

// Now does something to all open connections, to what the server sends on them
// where it matters.
func (p *Proxy) Now(do Action) {
	for _, l := range p.all() {
		l.mu.Lock()
		if l.state == open {
			do.apply(l.directions[Server])
			l.touch()
		}
		l.mu.Unlock()
	}
}

// Stall holds back everything in both directions on all connections, those to come
// included, until Resume.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalling == nil {
		p.stalling = NewGate()
	}
	p.happened()
}

// Resume ends Stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalling != nil {
		p.stalling.Open()
		p.stalling = nil
	}
}

// Refuse makes the operating system refuse connections, or accept them again.
func (p *Proxy) Refuse(t testing.TB, refuse bool) {
	t.Helper()
	p.mu.Lock()
	ln := p.ln
	if refuse {
		p.ln = nil
	}
	p.mu.Unlock()
	switch {
	case refuse && ln != nil:
		ln.Close()
	case !refuse && ln == nil:
		ln, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatalf("faultproxy: %v", err)
		}
		p.serve(ln)
	}
}

// happened wakes those who wait. p.mu is locked.
func (p *Proxy) happened() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.happened()
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[:len(p.links):len(p.links)]
}

func (p *Proxy) serve(ln net.Listener) {
	p.mu.Lock()
	p.ln = ln
	p.mu.Unlock()
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			p.connect(client)
		}
	}()
}

func (p *Proxy) connect(client net.Conn) {
	p.mu.Lock()
	drop := p.dropped[len(p.links)]
	p.mu.Unlock()
	var server net.Conn
	if !drop {
		var err error
		if server, err = net.Dial(p.network, p.target); err != nil {
			// A server that is down looks like one to the client, too.
			server = nil
		}
	}
	l := newLink(p, client, server)
	p.mu.Lock()
	n := len(p.links)
	p.links = append(p.links, l)
	for _, f := range p.faults {
		if f.conn == n || f.conn == Any {
			d := l.directions[f.side]
			d.armed = append(d.armed, &armed{Fault: f, place: newPlace(f.point)})
		}
	}
	p.happened()
	p.mu.Unlock()
	l.start()
	select {
	case <-p.closing: // and close may not have seen it
		l.close()
	default:
	}
}

// Close ends everything.
func (p *Proxy) Close() {
	close(p.closing)
	p.mu.Lock()
	if p.ln != nil {
		p.ln.Close()
	}
	p.mu.Unlock()
	for _, l := range p.all() {
		l.close()
	}
	p.wg.Wait()
}
