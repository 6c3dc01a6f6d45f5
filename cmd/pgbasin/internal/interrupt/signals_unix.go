//go:build unix

package interrupt

import (
	"os"
	"os/signal"
	"syscall"
)

// ending are the signals with which users, service managers and closed
// terminals end a program.
var ending = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

func ignoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
