package replproto

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// blocking takes a connection away from the runtime's network poller. Servers send in
// pieces of 8 kB, and each of them had to wake the poller, at the cost of the server's
// time: without it a backup over a local connection takes a quarter less CPU time.
//
// nc is closed; what is returned has its socket. An encrypted connection stays as it
// is, and so does one whose socket cannot be had.
func blocking(nc net.Conn) net.Conn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nc
	}
	fd := -1
	ctlErr := raw.Control(func(s uintptr) {
		if fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			// This belongs to the socket, not to its descriptor: nc is of no use any more.
			err = unix.SetNonblock(fd, false)
		}
	})
	if ctlErr != nil || err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nc
	}
	c := &blockingConn{Conn: nc, file: os.NewFile(uintptr(fd), "socket"), made: time.Now()}
	c.raw, _ = c.file.SyscallConn() // fails of no file that was made
	c.in.option, c.out.option = unix.SO_RCVTIMEO, unix.SO_SNDTIMEO
	c.inquire = func(fd uintptr) { c.queued, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }
	c.SetDeadline(noDeadline)
	nc.Close()
	return c
}

// blockingConn is a net.Conn whose calls wait in the operating system, for one reader
// and one writer at a time. A read deadline that is in the past when it is set ends
// reading for good; a write notices such a deadline within a second.
type blockingConn struct {
	net.Conn // closed; it knows the addresses
	file     *os.File
	raw      syscall.RawConn // of file
	made     time.Time
	in, out  patience
	closed   atomic.Bool

	// For who reads alone.
	reads   uint
	yielded time.Duration // when, since the connection was made
	inquire func(fd uintptr)
	queued  int // what inquire found
}

// patience is how long the calls in one direction wait.
type patience struct {
	deadline atomic.Int64  // time since the connection was made, or never
	option   int           // of the socket, for one call
	set      time.Duration // its value; for who reads, or writes, alone
}

const (
	never = math.MaxInt64
	// tick is how long one call waits at most.
	tick = time.Second
	// yieldAfter is how long a reader is at work before it gives way once. From a
	// goroutine that has not been scheduled for 10 ms, Go 1.26 takes the processor away
	// in every system call that its monitor finds it in (retake in runtime/proc.go): the
	// monitor gets no rest, and each such call ends with the search for a processor.
	yieldAfter = 4 * time.Millisecond
	// yieldReads is after how many reads that time is looked at.
	yieldReads = 4
)

func (c *blockingConn) Read(p []byte) (int, error) {
	c.yield()
	for {
		err := c.prepare(&c.in)
		n := 0
		if err == nil {
			n, err = c.file.Read(p)
		}
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err == io.EOF && c.passed(&c.in) {
			err = os.ErrDeadlineExceeded // it is how SetReadDeadline woke the call
		}
		return n, c.failure("read", err)
	}
}

// yield lets the scheduler see the reader now and then.
func (c *blockingConn) yield() {
	if c.reads++; c.reads%yieldReads > 0 {
		return
	}
	if now := time.Since(c.made); now-c.yielded > yieldAfter {
		c.yielded = now
		runtime.Gosched()
	}
}

func (c *blockingConn) Write(p []byte) (n int, err error) {
	for {
		if err = c.prepare(&c.out); err == nil {
			var m int
			m, err = c.file.Write(p[n:])
			n += m
		}
		if !errors.Is(err, unix.EAGAIN) {
			return n, c.failure("write", err)
		}
	}
}

// arrived is how many bytes Read would return without waiting.
func (c *blockingConn) arrived() int {
	c.queued = 0
	c.raw.Control(c.inquire)
	return c.queued
}

// prepare sets how long the next call waits.
func (c *blockingConn) prepare(w *patience) error {
	wait := tick
	if at := w.deadline.Load(); at != never {
		now := int64(time.Since(c.made))
		if at <= now {
			return os.ErrDeadlineExceeded
		}
		wait = min(wait, max(time.Duration(at-now), time.Millisecond))
	}
	if wait == w.set {
		return nil
	}
	tv := unix.NsecToTimeval(int64(wait))
	if err := c.control(func(fd int) error { return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, w.option, &tv) }); err != nil {
		return err
	}
	w.set = wait
	return nil
}

func (c *blockingConn) passed(w *patience) bool {
	return w.deadline.Load() <= int64(time.Since(c.made))
}

func (c *blockingConn) control(f func(fd int) error) error {
	var err error
	ctlErr := c.raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(ctlErr, err)
}

// failure makes an error what package net makes of it.
func (c *blockingConn) failure(op string, err error) error {
	if err == nil || err == io.EOF && !c.closed.Load() {
		return err
	}
	var path *os.PathError
	switch {
	case c.closed.Load() || errors.Is(err, os.ErrClosed):
		err = net.ErrClosed
	case errors.As(err, &path):
		err = os.NewSyscallError(op, path.Err)
	}
	return &net.OpError{Op: op, Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *blockingConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *blockingConn) SetReadDeadline(t time.Time) error {
	c.until(&c.in, t)
	if c.passed(&c.in) {
		return c.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) })
	}
	return nil
}

func (c *blockingConn) SetWriteDeadline(t time.Time) error {
	c.until(&c.out, t)
	return nil
}

func (c *blockingConn) until(w *patience, t time.Time) {
	at := int64(never)
	if !t.IsZero() {
		at = int64(t.Sub(c.made))
	}
	w.deadline.Store(at)
}

// Close ends calls that wait.
func (c *blockingConn) Close() error {
	c.closed.Store(true)
	c.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	return c.file.Close()
}
