//go:build !windows

package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

// dontWait keeps the opening of a pipe from waiting for who reads it.
const dontWait = unix.O_NONBLOCK

// unsupportedForDirectories tells the answers of file systems that cannot sync
// a directory from failures; the server's fsync_fname takes the same two for
// granted.
func unsupportedForDirectories(err error) bool {
	return errors.Is(err, unix.EBADF) || errors.Is(err, unix.EINVAL)
}
