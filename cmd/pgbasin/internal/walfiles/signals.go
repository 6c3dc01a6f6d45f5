package walfiles

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// signaled is the cause of a context that a signal ended.
type signaled struct{ number int }

func (s *signaled) Error() string { return fmt.Sprintf("ended by signal %d", s.number) }

// watch ends the context with the first signal. A second one ends the process.
// Other than in the commands that people run, no signal may end in an exit status
// that means something else to the server; that includes SIGQUIT, for which Go
// programs exit with 2, and broken pipes.
func watch(parent context.Context) (ctx context.Context, stop func()) {
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
			cancel(&signaled{number(s)})
		case <-done:
			return
		}
		select {
		case s := <-signals:
			os.Exit(128 + number(s))
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

func number(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return int(syscall.SIGTERM)
}

// signalStatus is the exit status for the signal that ended ctx, if one did.
func signalStatus(ctx context.Context) (status int, ok bool) {
	s, ok := context.Cause(ctx).(*signaled)
	if !ok {
		return 0, false
	}
	return 128 + s.number, true
}
