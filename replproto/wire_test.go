package replproto

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/peak"
)

// script is the server's side of a connection that gives its bytes in pieces.
type script struct {
	net.Conn
	b    []byte
	step int // bytes for each Read; 0 = as many as fit
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(s.b))
	if s.step > 0 {
		n = min(n, s.step)
	}
	copy(p, s.b[:n])
	s.b = s.b[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)        { return len(p), nil }
func (s *script) Close() error                       { return nil }
func (s *script) SetDeadline(time.Time) error        { return nil }
func (s *script) SetWriteDeadline(t time.Time) error { return nil }

type message struct {
	typ  byte
	body []byte
}

// messages reads everything, each body in one piece or in chunks.
func messages(w *wire, whole func(i int) bool) (list []message, err error) {
	for i := 0; ; i++ {
		typ, _, err := w.next()
		if err != nil {
			return list, err
		}
		m := message{typ: typ}
		if whole(i) {
			b, err := w.body()
			if err != nil {
				return list, err
			}
			m.body = bytes.Clone(b)
		} else {
			for w.left > 0 {
				b, err := w.chunk()
				if err != nil {
					return list, err
				}
				m.body = append(m.body, b...)
			}
		}
		list = append(list, m)
	}
}

func TestMessagesAreTheSameHoweverTheBytesArrive(t *testing.T) {
	var stream []byte
	var want []message
	for i, size := range []int{0, 1, 4, 100, 32769, 131097, receiveBuffer - 5, receiveBuffer, receiveBuffer + 1, 3 << 20, 0, 7} {
		body := bytes.Repeat([]byte{byte(i), 'x'}, size)[:size]
		want = append(want, message{byte('a' + i), body})
		n := uint32(size + 4)
		stream = append(stream, byte('a'+i), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		stream = append(stream, body...)
	}
	for _, step := range []int{0, 1, 2, 3, 5, 8192, receiveBuffer - 1} {
		if step > 0 && step < 5 && testing.Short() {
			continue
		}
		got, err := messages(newWire(&script{b: bytes.Clone(stream), step: step}), func(i int) bool { return i%2 == step%2 })
		if !errors.Is(err, ErrConnectionLost) {
			t.Errorf("step %d: %v", step, err)
		}
		if len(got) != len(want) {
			t.Fatalf("step %d: %d messages, want %d", step, len(got), len(want))
		}
		for i := range want {
			if got[i].typ != want[i].typ || !bytes.Equal(got[i].body, want[i].body) {
				t.Errorf("step %d: message %d is %q with %d bytes, want %q with %d", step, i, got[i].typ, len(got[i].body), want[i].typ, len(want[i].body))
			}
		}
	}
}

func TestBufferedTellsWholeMessagesOnly(t *testing.T) {
	stream := []byte{'a', 0, 0, 0, 6, 1, 2, 'b', 0, 0, 0, 5, 9, 'c', 0, 0, 0}
	w := newWire(&script{b: stream})
	if w.buffered() {
		t.Error("buffered before anything was read")
	}
	for i, want := range []bool{true, false} {
		if _, _, err := w.next(); err != nil {
			t.Fatal(err)
		}
		if got := w.buffered(); got != want {
			t.Errorf("after message %d: buffered %v, want %v", i, got, want)
		}
	}
}

func TestReceivingAllocatesNothingInTheSteadyState(t *testing.T) {
	one := append([]byte{'d', 0, 0, 0x80, 4}, make([]byte, 32768)...)
	s := &endless{one: one}
	c := &Conn{wire: newWire(s)}
	n := testing.AllocsPerRun(1000, func() {
		if typ, err := c.receive(); typ != 'd' || err != nil {
			t.Fatal(typ, err)
		}
		for c.wire.left > 0 {
			if _, err := c.wire.chunk(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

// endless repeats one message.
type endless struct {
	script
	one []byte
	at  int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.one[e.at:])
	e.at = (e.at + n) % len(e.one)
	return n, nil
}

// prefixed sends some bytes and then zeroes, as many as are read.
type prefixed struct {
	script
	most int // bytes for one Read
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.b) > 0 {
		return p.script.Read(b)
	}
	n := min(len(b), p.most)
	clear(b[:n])
	return n, nil
}

// A message may be as long as its length field lets it; it is passed on as it comes.
func TestAMessageOfTwoGigabytesTakesNoMoreMemoryThanAnother(t *testing.T) {
	const start = "T\x00\x00\x00\x06\x00\x00D\x00\x00\x00\x15\x00\x02\x00\x00\x00\x060/3000\x00\x00\x00\x011C\x00\x00\x00\x05\x00"
	const spaces = "T\x00\x00\x00\x06\x00\x00D\x00\x00\x00\x13\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x011C\x00\x00\x00\x05\x00"
	const copyOut, huge = "H\x00\x00\x00\x07\x00\x00\x00", "d\x7f\xff\xff\xff"
	for _, l := range []struct {
		version  Version
		messages string
	}{
		{v13, copyOut + huge},
		{v15, copyOut + "d\x00\x00\x00\x0fnbase.tar\x00\x00" + huge + "d"},
	} {
		for _, most := range []int{1 << 20, 3000} {
			var got int64
			memory := peak.Heap(func() {
				c := &Conn{wire: newWire(&prefixed{script{b: []byte(start + spaces + l.messages)}, most}), version: l.version, params: map[string]string{}}
				b, err := c.BaseBackup(t.Context(), BaseBackupOptions{})
				if err != nil {
					t.Fatal(err)
				}
				a, err := b.Next()
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(writerFunc(func(p []byte) (int, error) {
					if got += int64(len(p)); got > 1<<31-100 {
						return 0, io.ErrClosedPipe // what follows the message is none
					}
					return len(p), nil
				}), a)
				if !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%v: %d bytes, %v", l.version, n, err)
				}
			})
			if got < 1<<31-100 || memory > 16<<20 {
				t.Errorf("%v: %d bytes took %d MiB", l.version, got, memory>>20)
			}
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func BenchmarkReceiveCopyData(b *testing.B) {
	one := append([]byte{'d', 0, 0, 0x80, 4}, make([]byte, 32768)...)
	c := &Conn{wire: newWire(&endless{one: one})}
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.receive(); err != nil {
			b.Fatal(err)
		}
	}
}
