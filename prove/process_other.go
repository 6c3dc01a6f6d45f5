//go:build !unix

package prove

import (
	"errors"
	"os"
	"syscall"
)

var (
	fastShutdown      os.Signal = os.Interrupt
	immediateShutdown os.Signal = os.Kill
)

func sysProcAttr(owner) (*syscall.SysProcAttr, error) {
	return nil, errors.New("servers are started on Unix only")
}

func killGroup(int) {}

func descendants(int) []int { return nil }

func running(int) bool { return false }

func removeSharedMemory(int) {}
