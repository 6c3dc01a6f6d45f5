package replproto

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// blockingPair is a connection as it is after the takeover, and its other end.
func blockingPair(t *testing.T, network, address string) (c net.Conn, peer net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	c = blocking(dialled)
	if _, ok := c.(*blockingConn); !ok {
		t.Fatalf("a %T stayed as it is", dialled)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer
}

func TestABlockingConnectionBehavesAsOneOfPackageNet(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"} {
		t.Run(network, func(t *testing.T) {
			pair := func(t *testing.T) (net.Conn, net.Conn) { return blockingPair(t, network, address) }
			// reading tells what comes of a read that is under way when f is called.
			reading := func(c net.Conn, f func()) error {
				done := make(chan error)
				go func() {
					_, err := io.ReadFull(c, make([]byte, 2))
					done <- err
				}()
				f()
				return <-done
			}
			t.Run("deadline", func(t *testing.T) {
				c, peer := pair(t)
				for _, wait := range []time.Duration{20 * time.Millisecond, tick + 100*time.Millisecond} {
					begun := time.Now()
					c.SetReadDeadline(begun.Add(wait))
					if n, err := c.Read(make([]byte, 1)); n != 0 || !timedOut(err) || time.Since(begun) < wait {
						t.Errorf("%d bytes, %v after %v of %v", n, err, time.Since(begun), wait)
					}
				}
				peer.Write([]byte("x"))
				c.SetReadDeadline(noDeadline)
				if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
					t.Errorf("after the deadline was taken back: %d bytes, %v", n, err)
				}
			})
			t.Run("interrupted", func(t *testing.T) {
				c, peer := pair(t)
				err := reading(c, func() {
					peer.Write([]byte("x"))
					c.SetDeadline(aLongTimeAgo)
				})
				if !timedOut(err) {
					t.Errorf("the read under way: %v", err)
				}
				if _, err := c.Read(make([]byte, 1)); !timedOut(err) {
					t.Errorf("the next read: %v", err)
				}
				if _, err := c.Write([]byte("x")); !timedOut(err) {
					t.Errorf("a write: %v", err)
				}
			})
			t.Run("nobody takes what is written", func(t *testing.T) {
				c, _ := pair(t)
				content := make([]byte, 64<<20)
				c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				if n, err := c.Write(content); n == 0 || !timedOut(err) {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
			t.Run("written in many calls", func(t *testing.T) {
				c, peer := pair(t)
				go c.Write(make([]byte, 16<<20))
				if n, err := io.ReadFull(peer, make([]byte, 16<<20)); err != nil {
					t.Errorf("%d bytes came: %v", n, err)
				}
			})
			t.Run("closed", func(t *testing.T) {
				c, _ := pair(t)
				if err := reading(c, func() { c.Close() }); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the read under way: %v", err)
				}
				if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a write: %v", err)
				}
			})
			t.Run("closed by the peer", func(t *testing.T) {
				c, peer := pair(t)
				if err := reading(c, func() { peer.Close() }); err != io.EOF {
					t.Errorf("a read: %v", err)
				}
			})
		})
	}
}

func TestErrorsOfABlockingConnectionAreThoseOfPackageNet(t *testing.T) {
	c, peer := blockingPair(t, "tcp", "127.0.0.1:0")
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	_, err := c.Read(make([]byte, 1))
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != peer.LocalAddr().String() || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset: %v", err)
	}
}

func TestAnEncryptedConnectionIsNotTakenApart(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	for _, nc := range []net.Conn{client, tls.Client(client, &tls.Config{ServerName: "x"})} {
		if got := blocking(nc); got != nc {
			t.Errorf("a %T became a %T", nc, got)
		}
	}
}

func TestArrivedTellsWhatTheNetworkBroughtAndWaitsForNothing(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"} {
		c, peer := blockingPair(t, network, address)
		rep := &Replication{c: &Conn{wire: newWire(c)}}
		arrives := func(message string) {
			t.Helper()
			had := c.(arrivals).arrived()
			if _, err := peer.Write([]byte(message)); err != nil {
				t.Fatal(err)
			}
			for c.(arrivals).arrived() < had+len(message) {
				runtime.Gosched() // what was written to a local socket is on its way
			}
		}
		if rep.Arrived() {
			t.Errorf("%s: a message has arrived before it was sent", network)
		}
		arrives("a\x00\x00\x00\x05")
		if rep.Arrived() {
			t.Errorf("%s: a part of a message is one", network)
		}
		arrives("1b\x00\x00\x00\x05")
		if rep.Buffered() || !rep.Arrived() {
			t.Errorf("%s: a message that is whole has not arrived", network)
		}
		arrives("2")
		for _, want := range "ab" {
			if !rep.Arrived() {
				t.Errorf("%s: %q has not arrived", network, want)
			}
			if typ, _, err := rep.c.wire.next(); typ != byte(want) || err != nil {
				t.Errorf("%s: %q, %v, want %q", network, typ, err, want)
			}
		}
		if rep.Arrived() {
			t.Errorf("%s: more has arrived than was sent", network)
		}
		peer.Close()
		if rep.Arrived() {
			t.Errorf("%s: the end is a message", network)
		}
	}
}

func TestReadingABlockingConnectionAllocatesNothing(t *testing.T) {
	c, peer := blockingPair(t, "unix", t.TempDir()+"/s")
	b := make([]byte, 1)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := peer.Write(b); err != nil {
			t.Fatal(err)
		}
		if n := c.(arrivals).arrived(); n != len(b) {
			t.Fatalf("%d bytes have arrived", n)
		}
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

// BenchmarkRead is about what a read costs by the poller and without it, with a peer
// that sends as a server does.
func BenchmarkRead(b *testing.B) {
	for _, kind := range []string{"polled", "blocking"} {
		b.Run(kind, func(b *testing.B) {
			l, err := net.Listen("unix", b.TempDir()+"/s")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			c, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			if kind == "blocking" {
				c = blocking(c)
			}
			defer c.Close()
			peer, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				for piece := make([]byte, 8<<10); ; {
					if _, err := peer.Write(piece); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, receiveBuffer)
			b.ReportAllocs()
			received, reads := 0, 0
			for b.Loop() {
				n, err := c.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				received += n
				reads++
			}
			b.ReportMetric(float64(received)/float64(reads), "B/read")
			b.ReportMetric(float64(received)/b.Elapsed().Seconds()/1e6, "MB/s")
		})
	}
}
