//go:build !linux && !darwin && !freebsd

package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const promoteSignal = syscall.SIGTERM

var errUnsupported = errors.New("pgtest starts servers on Linux and macOS only")

func credential(owner) *syscall.SysProcAttr { return nil }

func sysProcAttr(owner, syscall.Signal) *syscall.SysProcAttr { return nil }

func lockFile(*os.File, bool) (bool, error) { return false, errUnsupported }

func fileOwner(fs.FileInfo) (uid, gid int) { return -1, -1 }

func children(int) []int { return nil }

func ended(int) bool { return true }

func removeSharedMemory(int) {}

// Spread does nothing here.
func Spread(string) {}
