package replproto

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// DefaultServerTimeout is Config.ServerTimeout where that is 0. It is as long as a
// server's authentication_timeout can be, and longer than disks and virtual
// machines are stopped for.
const DefaultServerTimeout = 10 * time.Minute

// SilenceError says that a server was given up because nothing came from it for so
// long although it owed an answer, or because it took nothing. It is an
// ErrConnectionLost, too.
type SilenceError struct {
	For  time.Duration
	verb string
}

func (e *SilenceError) Error() string {
	return fmt.Sprintf("server %s nothing for %v, the connection is taken for lost", e.verb, e.For)
}

// Is makes a silent server one that is gone.
func (e *SilenceError) Is(target error) bool { return target == ErrConnectionLost }

// allow sets how long the server may be silent from now on; 0 is for ever. ask, if
// not nil, is called when half of that has passed, and makes the server send
// something if it is there.
func (w *wire) allow(silence time.Duration, ask func() error) {
	before := w.silence
	w.silence, w.ask = silence, ask
	if silence == 0 && before != 0 {
		w.expire(noDeadline, w.nc.SetReadDeadline)
	}
}

// expire sets a deadline, unless the command's context has ended: its own deadline
// may be set at the same time, and has to win.
func (w *wire) expire(at time.Time, set func(time.Time) error) {
	set(at)
	if w.interrupted.Load() {
		set(aLongTimeAgo)
	}
}

// interrupt ends all reading and writing, for good.
func (w *wire) interrupt() {
	w.interrupted.Store(true)
	w.nc.SetDeadline(aLongTimeAgo)
}

// read waits for bytes as long as the server may be silent.
func (w *wire) read(p []byte) (int, error) {
	if w.silence == 0 {
		return w.nc.Read(p)
	}
	wait, ask := w.silence, w.ask
	if ask != nil {
		wait /= 2
	}
	for {
		w.expire(time.Now().Add(wait), w.nc.SetReadDeadline)
		n, err := w.nc.Read(p)
		switch {
		case err == nil || !timedOut(err) || w.interrupted.Load():
			return n, err
		case n > 0:
			return n, nil
		case ask == nil:
			return 0, &SilenceError{w.silence, "sent"}
		}
		if err := ask(); err != nil {
			return 0, err
		}
		ask = nil
	}
}

// write writes b whole. Any goroutine may call it, one at a time.
func (w *wire) write(b []byte, patience time.Duration) error {
	if patience > 0 {
		w.expire(time.Now().Add(patience), w.nc.SetWriteDeadline)
	}
	_, err := w.nc.Write(b)
	if err != nil && timedOut(err) && patience > 0 && !w.interrupted.Load() {
		return &SilenceError{patience, "took"}
	}
	return err
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
