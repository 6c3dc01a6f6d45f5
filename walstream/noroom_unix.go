//go:build !windows

package walstream

import (
	"errors"
	"syscall"
)

// NoRoom tells whether err means that a file system, or a quota on it, is full.
func NoRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
