package pgfake

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy forwards connections to a server and can cut or stall them. All methods
// are safe for concurrent use.
type Proxy struct {
	ln              net.Listener
	network, target string
	wg              sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	closed   bool
	stalled  bool
	links    []*link
	accepted int
	cuts     map[int]cut
}

type cut struct {
	after int64
	kind  CloseKind
}

// link is one forwarded connection.
type link struct {
	client, server net.Conn
	fromServer     int64
	fromClient     int64
	open           bool
	hung           bool
}

// NewProxy forwards to target, host:port or the path of a Unix socket, until the
// end of the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := ListenProxy(target)
	if err != nil {
		t.Fatalf("pgfake: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// ListenProxy is NewProxy without a test. The caller closes it.
func ListenProxy(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{ln: ln, network: "tcp", target: target, cuts: map[int]cut{}}
	if target != "" && target[0] == '/' {
		p.network = "unix"
	}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// Addr is the proxy's address as host:port; Host and Port are its parts.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }
func (p *Proxy) Host() string { return p.ln.Addr().(*net.TCPAddr).IP.String() }
func (p *Proxy) Port() int    { return p.ln.Addr().(*net.TCPAddr).Port }

// CutAfter ends the n-th connection (from 0, or every one if n is Any) when so
// many bytes of the server have gone to the client. With FIN the client gets all
// of them and then the end, with RST a reset; with Hang nothing more is
// forwarded in either direction.
func (p *Proxy) CutAfter(n int, bytes int64, kind CloseKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts[n] = cut{bytes, kind}
}

// DontCut takes back what CutAfter set.
func (p *Proxy) DontCut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.cuts)
}

// CutNow ends all open connections.
func (p *Proxy) CutNow(kind CloseKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		p.end(l, kind)
	}
}

// Stall forwards nothing in either direction until Resume; connections are
// accepted.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = true
}

// Resume ends Stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = false
	p.changed.Broadcast()
}

// Traffic counts one connection's bytes.
type Traffic struct {
	FromServer, FromClient int64
	Open                   bool
}

// Traffic is what was forwarded so far, by connection.
func (p *Proxy) Traffic() []Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Traffic, p.accepted)
	for i, l := range p.links {
		out[i] = Traffic{l.fromServer, l.fromClient, l.open}
	}
	return out
}

// Connections is how many connections were accepted so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.target)
		if err != nil {
			// A server that is down looks like one to the client, too.
			reset(client)
			server = nil
		}
		p.mu.Lock()
		l := &link{client: client, server: server, open: server != nil}
		n := p.accepted
		p.accepted++
		p.links = append(p.links, l)
		switch {
		case server == nil:
		case p.closed:
			p.end(l, RST)
		default:
			p.wg.Add(2)
			go p.forward(n, l, true)
			go p.forward(n, l, false)
		}
		p.mu.Unlock()
	}
}

// forward copies one direction.
func (p *Proxy) forward(n int, l *link, fromServer bool) {
	defer p.wg.Done()
	from, to := l.client, l.server
	if fromServer {
		from, to = l.server, l.client
	}
	buf := make([]byte, 32<<10)
	for {
		got, err := from.Read(buf)
		if got > 0 && !p.pass(n, l, fromServer, to, buf[:got]) {
			return
		}
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			if l.hung {
				return
			}
			if err != io.EOF {
				p.end(l, RST)
				return
			}
			closeWrite(to)
			if fromServer {
				p.end(l, FIN)
			} // else the server may still have something to say
			return
		}
	}
}

// pass writes b, as far as the connection's cut allows, once the proxy is not
// stalled.
func (p *Proxy) pass(n int, l *link, fromServer bool, to net.Conn, b []byte) bool {
	p.mu.Lock()
	for (p.stalled || l.hung) && l.open {
		p.changed.Wait()
	}
	if !l.open {
		p.mu.Unlock()
		return false
	}
	c, cutting := p.cuts[n]
	if !cutting {
		c, cutting = p.cuts[Any]
	}
	cutting = cutting && fromServer && l.fromServer+int64(len(b)) >= c.after
	if cutting {
		b = b[:max(0, c.after-l.fromServer)]
	}
	if fromServer {
		l.fromServer += int64(len(b))
	} else {
		l.fromClient += int64(len(b))
	}
	p.mu.Unlock()
	_, err := to.Write(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if cutting {
		p.end(l, c.kind)
		return false
	}
	if err != nil {
		p.end(l, FIN)
		return false
	}
	return true
}

// end closes a link. p.mu is locked.
func (p *Proxy) end(l *link, kind CloseKind) {
	if !l.open {
		return
	}
	if kind == Hang {
		l.hung = true
		return
	}
	l.open = false
	if kind == RST {
		reset(l.client)
	} else {
		p.drain(l.client)
	}
	l.server.Close()
	p.changed.Broadcast()
}

// drain closes in good order: with input unread, closing would reset.
func (p *Proxy) drain(nc net.Conn) {
	closeWrite(nc)
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		io.Copy(io.Discard, nc)
		nc.Close()
	}()
}

func closeWrite(nc net.Conn) {
	if h, ok := nc.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}

// Close ends everything.
func (p *Proxy) Close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	for _, l := range p.links {
		l.open = false
		l.client.Close()
		if l.server != nil {
			l.server.Close()
		}
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}
