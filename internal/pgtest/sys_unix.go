//go:build linux || darwin || freebsd

package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const promoteSignal = syscall.SIGUSR1

// credential returns attributes that start a process as o.
func credential(o owner) *syscall.SysProcAttr {
	attr := new(syscall.SysProcAttr)
	if o.other {
		attr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return attr
}

// lockFile takes an exclusive lock that ends when f is closed or the process dies. Without wait it returns false when another
// process, or another open file of this one, holds it.
func lockFile(f *os.File, wait bool) (bool, error) {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
		case !wait && errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}

// fileOwner returns the user and group a file belongs to.
func fileOwner(info fs.FileInfo) (uid, gid int) {
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}
