//go:build !unix

package walfiles

import (
	"os"
	"syscall"
)

// ending are what Go makes of Ctrl-C, and of a console that is closed.
var ending = []os.Signal{os.Interrupt, syscall.SIGTERM}

func ignoreBrokenPipes() {}
