//go:build unix

package walfiles

import (
	"os"
	"os/signal"
	"syscall"
)

// ending are the signals with which a server ends its children, and users
// commands that they run themselves.
var ending = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP}

func ignoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
