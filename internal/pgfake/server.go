package pgfake

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// finishWithin bounds how long the end of a test waits for scripts to finish by
// themselves once the client is done.
const finishWithin = 5 * time.Second

// Server accepts connections on 127.0.0.1 and runs a step for each.
type Server struct {
	t       testing.TB
	ln      net.Listener
	step    func(n int) Step
	closing chan struct{}
	wg      sync.WaitGroup
	sent    atomic.Int64

	mu       sync.Mutex
	lns      []net.Listener
	conns    map[*Conn]struct{}
	accepted int
	queries  []Query
	startups []map[string]string
}

// Query is a simple query that a client sent.
type Query struct {
	Conn int // the connection's number
	Text string
}

// Start runs scripts[n] for the n-th connection. A connection more, one fewer,
// or a script that does not run to its end fails the test. When a script is
// over the client may only close the connection.
func Start(t testing.TB, scripts ...Step) *Server {
	t.Helper()
	s := start(t, func(n int) Step {
		if n >= len(scripts) {
			return Do("no script", func(*Conn) error {
				return fmt.Errorf("a connection came for which there is no script (there are %d)", len(scripts))
			})
		}
		return scripts[n]
	})
	// Cleanup functions run last in, first out: this one after the server's own,
	// when no connection can come any more.
	t.Cleanup(func() {
		t.Helper()
		s.stop()
		if n := s.Connections(); n < len(scripts) {
			t.Errorf("pgfake: %d of %d scripted connections came", n, len(scripts))
		}
	})
	return s
}

// StartEach runs the same step for every connection.
func StartEach(t testing.TB, script Step) *Server {
	t.Helper()
	s := start(t, func(int) Step { return script })
	t.Cleanup(s.stop)
	return s
}

func start(t testing.TB, step func(n int) Step) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("pgfake: %v", err)
	}
	s := &Server{t: t, ln: ln, step: step, closing: make(chan struct{}), conns: map[*Conn]struct{}{}}
	s.serve(ln)
	return s
}

func (s *Server) serve(ln net.Listener) {
	s.mu.Lock()
	s.lns = append(s.lns, ln)
	s.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Add(1)
			go s.accept(nc)
		}
	}()
}

// accept counts the connection once its first packet has come, because a
// request to cancel comes on a connection of its own and is none to count: there
// is nothing to cancel here.
func (s *Server) accept(nc net.Conn) {
	defer s.wg.Done()
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 16<<10)
	c := &Conn{s: s, nc: nc, in: pgproto3.NewBackend(in, nil), done: make(chan struct{})}
	c.idle.Store(true)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	if s.isClosing() {
		nc.Close()
	}
	s.mu.Unlock()
	defer func() {
		close(c.done)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	const cancelRequest = "\x00\x00\x00\x10\x04\xd2\x16\x2e"
	if first, err := in.Peek(len(cancelRequest)); err != nil || string(first) == cancelRequest {
		return
	}
	s.mu.Lock()
	c.Number = s.accepted
	s.accepted++
	s.mu.Unlock()
	script := s.step(c.Number)
	what := script.String()
	c.at.Store(&what)
	c.idle.Store(false)
	s.run(c, script)
}

func (s *Server) run(c *Conn, script Step) {
	err := script.run(c)
	if err == nil {
		err = c.Flush()
	}
	if err == nil {
		c.idle.Store(true)
		if err = ExpectClose().run(c); err != nil {
			err = fmt.Errorf("the script is over: %w", err)
		}
	}
	if err == nil || errors.Is(err, errEnded) || s.isClosing() {
		return
	}
	s.t.Errorf("pgfake: connection %d: %v", c.Number, err)
}

func (s *Server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// stop ends the server. Scripts that are in the middle get the time to finish,
// because the client may have left this very moment.
func (s *Server) stop() {
	s.mu.Lock()
	if s.isClosing() {
		s.mu.Unlock()
		return
	}
	for _, ln := range s.lns {
		ln.Close()
	}
	s.mu.Unlock()
	deadline := time.Now().Add(finishWithin)
	for time.Now().Before(deadline) && s.busy() {
		time.Sleep(time.Millisecond)
	}
	s.mu.Lock()
	for c := range s.conns {
		if !c.idle.Load() {
			s.t.Errorf("pgfake: connection %d did not finish: it is at %s", c.Number, *c.at.Load())
		}
	}
	close(s.closing)
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.idle.Load() {
			return true
		}
	}
	return false
}

func (s *Server) recordQuery(conn int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, Query{conn, text})
}

func (s *Server) recordStartup(parameters map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startups = append(s.startups, parameters)
}

// Queries lists the simple queries that came so far, in order of arrival.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Query(nil), s.queries...)
}

// Startups lists the startup parameters that clients sent so far, in order of arrival.
func (s *Server) Startups() []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string]string(nil), s.startups...)
}

// Connections is how many connections were accepted so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Sent is how many bytes the server has written, on all connections. A run
// without faults tells a test how far Fault.After can go.
func (s *Server) Sent() int64 { return s.sent.Load() }

// Addr is the address as host:port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Host and Port are the parts of Addr.
func (s *Server) Host() string { return s.ln.Addr().(*net.TCPAddr).IP.String() }
func (s *Server) Port() int    { return s.ln.Addr().(*net.TCPAddr).Port }

// ConnString is a keyword string for a physical replication connection to the
// server; more is appended to it.
func (s *Server) ConnString(more ...string) string {
	return fmt.Sprintf("host=%s port=%d user=fake dbname=replication replication=true sslmode=disable %s",
		s.Host(), s.Port(), strings.Join(more, " "))
}

// ListenUnix also accepts connections on a Unix socket and returns the
// directory to give to a client as host; the port is 5432.
func (s *Server) ListenUnix() string {
	s.t.Helper()
	// A test's own temporary directory can be too long for a socket's address.
	dir, err := os.MkdirTemp("", "pgfake")
	if err != nil {
		s.t.Fatalf("pgfake: %v", err)
	}
	s.t.Cleanup(func() { s.stop(); os.RemoveAll(dir) })
	ln, err := net.Listen("unix", dir+"/.s.PGSQL.5432")
	if err != nil {
		s.t.Fatalf("pgfake: %v", err)
	}
	s.serve(ln)
	return dir
}
