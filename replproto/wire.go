package replproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	// receiveBuffer is large enough for several of the 32 kB messages in which
	// a server sends archives, and for the 128 kB messages of WAL.
	receiveBuffer = 256 << 10

	// maxMessage bounds what is held in memory of one message. Only CopyData
	// of archives is ever longer in principle, and that is never held whole.
	maxMessage = 4 << 20

	headerSize = 5 // type byte, int32 length that counts itself
)

// wire cuts the bytes from the server into messages. It owns one buffer, which
// is reused for every message: whatever it returns is valid until the next
// call only.
type wire struct {
	nc   net.Conn
	buf  []byte
	r, w int  // buf[r:w] is received and not yet consumed
	typ  byte // of the current message
	left int  // bytes of its body not yet consumed

	silence     time.Duration // how long a read waits; see allow
	ask         func() error
	interrupted atomic.Bool
}

func newWire(nc net.Conn) *wire { return &wire{nc: nc, buf: make([]byte, receiveBuffer)} }

// next skips what is left of the current message and reads the header of the
// following one. size is the length of its body in bytes.
func (w *wire) next() (typ byte, size int, err error) {
	if err := w.skip(); err != nil {
		return 0, 0, err
	}
	if err := w.fill(headerSize); err != nil {
		return 0, 0, err
	}
	typ = w.buf[w.r]
	w.typ = typ
	length := binary.BigEndian.Uint32(w.buf[w.r+1:])
	w.r += headerSize
	if length < 4 || length > 1<<31-1 {
		return 0, 0, protocolErrorf("message of type %q claims a length of %d bytes", typ, length)
	}
	w.left = int(length) - 4
	return typ, w.left, nil
}

// skip passes over what is left of the current message.
func (w *wire) skip() error {
	for w.left > 0 {
		if _, err := w.chunk(); err != nil {
			return err
		}
	}
	return nil
}

// chunk returns the next piece of the current message's body, whatever part of
// it one read brought. It returns nil at the end of the message.
func (w *wire) chunk() ([]byte, error) {
	if w.left == 0 {
		return nil, nil
	}
	if w.r == w.w {
		if err := w.fill(1); err != nil {
			return nil, err
		}
	}
	n := min(w.w-w.r, w.left)
	p := w.buf[w.r : w.r+n]
	w.r += n
	w.left -= n
	return p, nil
}

// body returns what is left of the current message in one piece.
func (w *wire) body() ([]byte, error) {
	if w.left > maxMessage {
		return nil, protocolErrorf("message of type %q has %d bytes, expected at most %d", w.typ, w.left, maxMessage)
	}
	if err := w.fill(w.left); err != nil {
		return nil, err
	}
	p := w.buf[w.r : w.r+w.left]
	w.r += w.left
	w.left = 0
	return p, nil
}

// buffered tells whether the next message has been received whole.
func (w *wire) buffered() bool {
	have := w.w - w.r - w.left
	if have < headerSize {
		return false
	}
	at := w.r + w.left
	return uint32(have-1) >= binary.BigEndian.Uint32(w.buf[at+1:])
}

// arrivals is a connection that knows how many bytes can be read without waiting.
type arrivals interface{ arrived() int }

// collect takes in what has arrived, if that can be known. An error comes again with
// the next read.
func (w *wire) collect() {
	if w.r == w.w {
		w.r, w.w = 0, 0
	}
	if nc, ok := w.nc.(arrivals); ok && w.w < len(w.buf) && nc.arrived() > 0 {
		n, _ := w.nc.Read(w.buf[w.w:])
		w.w += n
	}
}

// fill reads until n bytes are there to be consumed in one piece.
func (w *wire) fill(n int) error {
	if w.r == w.w {
		w.r, w.w = 0, 0
	}
	if w.w-w.r >= n {
		return nil
	}
	if n > len(w.buf)-w.r {
		buf := w.buf
		if n > len(buf) {
			// Grown for one oversized message and kept: bounded by maxMessage.
			buf = make([]byte, n)
		}
		w.w = copy(buf, w.buf[w.r:w.w])
		w.r, w.buf = 0, buf
	}
	for w.w-w.r < n {
		m, err := w.read(w.buf[w.w:])
		w.w += m
		if err != nil && w.w-w.r < n {
			return readError(err)
		}
	}
	return nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrConnectionLost
	}
	if timedOut(err) || errors.Is(err, ErrConnectionLost) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrConnectionLost, err)
}
