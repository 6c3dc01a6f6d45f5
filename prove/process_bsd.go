//go:build unix && !linux

package prove

import "syscall"

func sysProcAttr(o owner) (*syscall.SysProcAttr, error) {
	return &syscall.SysProcAttr{Setpgid: true, Credential: credential(o)}, nil
}

// descendants are not known here; servers' children end when they notice that
// the server is gone.
func descendants(int) []int { return nil }

func running(int) bool { return false }

func removeSharedMemory(int) {}
