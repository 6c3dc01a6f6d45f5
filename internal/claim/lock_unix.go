//go:build unix

package claim

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var errInUse = errors.New("another backup or restore is being written to it")

// lockDirectory takes an advisory lock that goes with the process.
func lockDirectory(dir *os.Root) (*os.File, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = errInUse
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		err = nil // a file system without locks; the work can be done without
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
