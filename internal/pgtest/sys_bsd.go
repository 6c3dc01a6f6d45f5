//go:build darwin || freebsd

package pgtest

import (
	"errors"
	"syscall"
)

// sysProcAttr returns attributes that start a process as o. There is no death signal here.
func sysProcAttr(o owner, _ syscall.Signal) *syscall.SysProcAttr { return credential(o) }

// children finds none here: what a killed server leaves ends by itself when it notices.
func children(int) []int { return nil }

func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func removeSharedMemory(int) {}

// Spread does nothing here.
func Spread(string) {}
