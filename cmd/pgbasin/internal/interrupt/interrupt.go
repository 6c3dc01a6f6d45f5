// Package interrupt turns the signals with which a user ends a program into the
// end of a context, so that the program can clean up.
package interrupt

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Error is the cause of a context that a signal ended.
type Error struct{ Signal os.Signal }

func (e *Error) Error() string {
	switch e.Signal {
	case os.Interrupt:
		return "canceled by user"
	case syscall.SIGTERM:
		return "terminated by signal SIGTERM"
	}
	return "terminated by signal: " + e.Signal.String()
}

// patience is how long abandon has for its last words.
const patience = time.Second

// Watch returns a context that ends with the first signal. The second one calls
// abandon and ends the process with exit status 1, whatever else goes on. stop
// gives the signals back; it must be called.
//
// A signal that was ignored when the program was started stays ignored: nohup
// and the background jobs of shells rely on it. Writing to a pipe that nobody
// reads becomes an ordinary error instead of a silent death.
func Watch(parent context.Context, abandon func()) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ignoreBrokenPipes()
	signals := make(chan os.Signal, 2)
	for _, s := range ending {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			cancel(&Error{s})
		case <-done:
			return
		}
		select {
		case <-signals:
		case <-done:
			return
		}
		said := make(chan struct{})
		go func() {
			defer close(said)
			abandon()
		}()
		select {
		case <-said:
		case <-time.After(patience):
		}
		os.Exit(1)
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// In is the signal that ended what failed with err, if one did: in err, or behind it, when
// something made of the end of ctx an error of its own. Nil if there was none.
func In(ctx context.Context, err error) *Error {
	var e *Error
	if errors.As(err, &e) || errors.As(context.Cause(ctx), &e) {
		return e
	}
	return nil
}
