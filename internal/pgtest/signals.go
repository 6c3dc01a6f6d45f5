//go:build unix

package pgtest

import (
	"os"
	"os/signal"
	"syscall"
)

// DefaultSignals lets programs that are started from here be ended by signals,
// also when the tests themselves were started with these ignored, as by nohup
// or in the background of a script: a program inherits that, but not that a
// signal is caught. undo ends it.
func DefaultSignals() (undo func()) {
	caught := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
	return func() { signal.Stop(caught) }
}
