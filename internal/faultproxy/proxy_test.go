package faultproxy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
)

// message is one as servers and clients send them.
func message(kind byte, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(b, body...)
}

// startupPacket is what a client begins with.
func startupPacket() []byte {
	b := binary.BigEndian.AppendUint32(nil, 8)
	return binary.BigEndian.AppendUint32(b, 196608)
}

// serve gives its answers one after the other, each to whatever comes next on a
// connection, and keeps reading.
func serve(t *testing.T, answers ...[]byte) (addr string, received *heard) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	received = &heard{more: make(chan struct{}), ended: make(chan struct{}, 100)}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { received.ended <- struct{}{} }()
				defer nc.Close()
				buf := make([]byte, 1<<16)
				next := answers
				for {
					n, err := nc.Read(buf)
					received.add(buf[:n])
					if err != nil {
						return
					}
					if len(next) > 0 {
						nc.Write(next[0])
						next = next[1:]
					}
				}
			}()
		}
	}()
	return ln.Addr().String(), received
}

func dial(t *testing.T, p *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	return nc.(*net.TCPConn)
}

func read(t *testing.T, nc net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(nc, b); err != nil {
		t.Fatalf("%d of %d bytes: %v", got, n, err)
	}
	return b
}

func write(t *testing.T, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestAFaultStrikesAtItsPlace(t *testing.T) {
	greeting := append(message('R', "\x00\x00\x00\x00"), message('Z', "I")...)
	answer := bytes.Join([][]byte{
		message('T', "columns"), message('D', "row"), message('C', "x"),
		message('H', "copy"), message('d', "n one"), message('d', "d data"), message('d', "n two"), message('d', ""), message('Z', "I"),
	}, nil)
	at := func(text string) int { return len(greeting) + bytes.Index(answer, []byte(text)) - 5 }
	for _, c := range []struct {
		point faultproxy.Point
		want  int
	}{
		{faultproxy.After(0), 0},
		{faultproxy.After(3), 3},
		{faultproxy.AtMessage("Z", 1), 9},
		{faultproxy.AtMessage("Z", 1).Plus(2), 11},
		{faultproxy.AtMessage("T", 1), at("columns")},
		{faultproxy.AtAnswer("BASE"), len(greeting)},
		{faultproxy.AtAnswer("BASE").Plus(4), len(greeting) + 4},
		{faultproxy.AtAnswer("BASE").Message("Z", 1), len(greeting) + len(answer) - 6},
		{faultproxy.AtAnswer("BASE").Message("d", 2), at("d data")},
		{faultproxy.AtMessage("dn", 2), at("n two")},
		{faultproxy.AtMessage("dn", 2).Plus(7), at("n two") + 7},
		{faultproxy.After(int64(len(greeting))), len(greeting)},
	} {
		t.Run(c.point.String(), func(t *testing.T) {
			addr, _ := serve(t, greeting, answer)
			p := faultproxy.New(t, addr)
			f := p.On(0, faultproxy.Server, c.point, faultproxy.Cut)
			nc := dial(t, p)
			write(t, nc, startupPacket())
			first := make([]byte, len(greeting))
			n, err := io.ReadFull(nc, first)
			got := first[:n]
			if err == nil {
				write(t, nc, message('Q', "BASE_BACKUP ( x )\x00"))
				rest, err := io.ReadAll(nc)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rest...)
			}
			f.Struck(t)
			if want := append(append([]byte{}, greeting...), answer...)[:c.want]; !bytes.Equal(got, want) {
				t.Errorf("%d bytes came through, want %d", len(got), len(want))
			}
		})
	}
}

func TestPlacesAreFoundInPieces(t *testing.T) {
	answer := append(message('d', "w one"), message('d', "w two")...)
	for _, shape := range []faultproxy.Action{faultproxy.Bytewise, faultproxy.Split, faultproxy.Merge(4)} {
		t.Run(shape.String(), func(t *testing.T) {
			addr, _ := serve(t, answer)
			inner := faultproxy.New(t, addr)
			inner.On(0, faultproxy.Server, faultproxy.After(0), shape)
			p := faultproxy.New(t, inner.Addr())
			p.On(0, faultproxy.Server, faultproxy.AtMessage("dw", 2).Plus(5), faultproxy.Cut)
			nc := dial(t, p)
			write(t, nc, startupPacket())
			if got, err := io.ReadAll(nc); err != nil || !bytes.Equal(got, answer[:len(answer)-5]) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestWhatHappensToTheConnection(t *testing.T) {
	hello := message('R', "hello")
	start := func(t *testing.T, do faultproxy.Action) (*faultproxy.Proxy, *net.TCPConn, *heard) {
		addr, received := serve(t, hello)
		p := faultproxy.New(t, addr)
		f := p.On(faultproxy.Any, faultproxy.Server, faultproxy.After(4), do)
		nc := dial(t, p)
		write(t, nc, startupPacket())
		read(t, nc, 4)
		f.Struck(t)
		return p, nc, received
	}
	t.Run("cut", func(t *testing.T) {
		p, nc, received := start(t, faultproxy.Cut)
		if n, err := nc.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
		<-received.ended
		if tr := p.Traffic()[0]; tr.Open || tr.FromServer != 4 || tr.FromClient != 8 {
			t.Errorf("%+v", tr)
		}
	})
	t.Run("reset", func(t *testing.T) {
		_, nc, received := start(t, faultproxy.Reset)
		if n, err := nc.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d, %v", n, err)
		}
		<-received.ended
	})
	t.Run("half-close", func(t *testing.T) {
		p, nc, received := start(t, faultproxy.HalfClose)
		if n, err := nc.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
		write(t, nc, message('X', ""))
		received.wait(t, 8+5)
		p.WaitBytes(t, 0, faultproxy.Client, 8+5)
	})
	t.Run("vanish", func(t *testing.T) {
		_, nc, received := start(t, faultproxy.Vanish)
		<-received.ended
		write(t, nc, bytes.Repeat(message('d', strings.Repeat("x", 1000)), 1000))
		nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := nc.Read(make([]byte, 10)); !isTimeout(err) {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("lose", func(t *testing.T) {
		_, nc, received := start(t, faultproxy.Lose)
		write(t, nc, message('X', ""))
		received.wait(t, 8+5)
		nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := nc.Read(make([]byte, 10)); !isTimeout(err) {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("lose what the other side sends", func(t *testing.T) {
		p, nc, received := start(t, faultproxy.LoseOther)
		if got := read(t, nc, len(hello)-4); !bytes.Equal(got, hello[4:]) {
			t.Errorf("%q", got)
		}
		write(t, nc, message('X', ""))
		p.WaitBytes(t, 0, faultproxy.Client, 8+5)
		received.wait(t, 8)
	})
	t.Run("stall", func(t *testing.T) {
		gate := faultproxy.NewGate()
		_, nc, _ := start(t, faultproxy.Stall(gate))
		nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := nc.Read(make([]byte, 10)); !isTimeout(err) {
			t.Errorf("%d, %v", n, err)
		}
		nc.SetReadDeadline(time.Time{})
		gate.Open()
		if got := read(t, nc, len(hello)-4); !bytes.Equal(got, hello[4:]) {
			t.Errorf("%q", got)
		}
	})
}

func TestShapesKeepEveryByte(t *testing.T) {
	var answer []byte
	for i := range 300 {
		answer = append(answer, message('d', strings.Repeat("w", i))...)
	}
	for _, shape := range []faultproxy.Action{
		faultproxy.Split, faultproxy.Bytewise, faultproxy.Merge(1000), faultproxy.Delay(time.Millisecond), faultproxy.Limit(1 << 20),
	} {
		t.Run(shape.String(), func(t *testing.T) {
			addr, received := serve(t, answer)
			p := faultproxy.New(t, addr)
			for _, side := range []faultproxy.Side{faultproxy.Server, faultproxy.Client} {
				p.On(0, side, faultproxy.After(0), shape)
			}
			nc := dial(t, p)
			write(t, nc, append(startupPacket(), message('p', "password")...))
			if got := read(t, nc, len(answer)); !bytes.Equal(got, answer) {
				t.Error("the bytes differ")
			}
			received.wait(t, 8+13)
		})
	}
}

func TestConnectionsAreRefusedAndDropped(t *testing.T) {
	addr, _ := serve(t, message('R', ""))
	p := faultproxy.New(t, addr)
	p.Drop(1)
	p.Refuse(t, true)
	if nc, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("%v, %v", nc, err)
	}
	p.Refuse(t, false)
	write(t, dial(t, p), startupPacket())
	p.WaitConnections(t, 1)
	second, err := net.Dial("tcp", p.Addr()) // which may fail already
	if err == nil {
		defer second.Close()
		_, err = second.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the second connection: %v", err)
	}
	third := dial(t, p)
	write(t, third, startupPacket())
	read(t, third, 5)
	p.WaitConnections(t, 3)
}

func TestEncryptionIsPassedOnAsItIs(t *testing.T) {
	secret := bytes.Repeat([]byte{0x17, 0, 0, 0, 1, 0xff}, 50)
	addr, _ := serve(t, append([]byte("S"), secret...))
	p := faultproxy.New(t, addr)
	message := p.On(0, faultproxy.Server, faultproxy.AtMessage("\x17", 1), faultproxy.Cut)
	cut := p.On(0, faultproxy.Server, faultproxy.After(100), faultproxy.Cut)
	nc := dial(t, p)
	write(t, nc, []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	got, err := io.ReadAll(nc)
	if err != nil || len(got) != 100 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	cut.Struck(t)
	if message.HasStruck() {
		t.Error("a message was seen in what is encrypted")
	}
}

func TestPlaintextAfterARefusalOfEncryptionHasMessages(t *testing.T) {
	addr, _ := serve(t, []byte("N"), append(message('R', "ok"), message('Z', "I")...))
	p := faultproxy.New(t, addr)
	p.On(0, faultproxy.Server, faultproxy.AtMessage("Z", 1), faultproxy.Cut)
	nc := dial(t, p)
	write(t, nc, []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	read(t, nc, 1)
	write(t, nc, startupPacket())
	if got, err := io.ReadAll(nc); err != nil || string(got) != string(message('R', "ok")) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		for _, do := range []faultproxy.Action{
			faultproxy.Cut, faultproxy.Reset, faultproxy.Vanish, faultproxy.Lose, faultproxy.LoseOther,
			faultproxy.Stall(nil), faultproxy.Delay(time.Hour), faultproxy.Limit(1), faultproxy.Merge(1 << 20),
		} {
			addr, _ := serve(t, bytes.Repeat(message('d', strings.Repeat("x", 1000)), 100))
			p := faultproxy.New(t, addr)
			f := p.On(0, faultproxy.Server, faultproxy.After(0), do)
			write(t, dial(t, p), startupPacket()) // and neither reads nor leaves
			f.Struck(t)
		}
	})
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// heard counts what a server got.
type heard struct {
	mu    sync.Mutex
	bytes int
	more  chan struct{} // closed, and replaced, when there is more
	ended chan struct{} // one for each connection that ended
}

func (h *heard) add(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes += len(b)
	close(h.more)
	h.more = make(chan struct{})
}

// wait waits until the server got so many bytes, and no more.
func (h *heard) wait(t *testing.T, n int) {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		h.mu.Lock()
		got, more := h.bytes, h.more
		h.mu.Unlock()
		switch {
		case got == n:
			return
		case got > n:
			t.Fatalf("the server got %d bytes, want %d", got, n)
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("the server got %d bytes, want %d", got, n)
		}
	}
}
