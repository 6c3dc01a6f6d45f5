//go:build unix

package prompt

import (
	"os"

	"golang.org/x/sys/unix"
)

// echoOff keeps the terminal f from showing what is typed, until on is called.
// It is an error if f is no terminal.
func echoOff(f *os.File) (on func(), err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTermios, &silent); err != nil {
		return nil, err
	}
	return func() { unix.IoctlSetTermios(fd, setTermios, before) }, nil
}
