//go:build !windows

package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

// NoWait is a flag for opening files. It keeps the opening of a pipe from waiting
// for who reads it, and means nothing for regular files; but with it package os
// takes the file as it is, which otherwise costs four system calls for each.
const NoWait = unix.O_NONBLOCK

// unsupportedForDirectories tells the answers of file systems that cannot sync
// a directory from failures; the server's fsync_fname takes the same two for
// granted.
func unsupportedForDirectories(err error) bool {
	return errors.Is(err, unix.EBADF) || errors.Is(err, unix.EINVAL)
}
