//go:build unix

package prove

import (
	"os"
	"syscall"
)

// How a server is told to end: without waiting for its clients, and without
// doing anything else first.
var (
	fastShutdown      os.Signal = syscall.SIGINT
	immediateShutdown os.Signal = syscall.SIGQUIT
)

func credential(o owner) *syscall.Credential {
	if !o.other {
		return nil
	}
	return &syscall.Credential{Uid: o.uid, Gid: o.gid}
}

// killGroup kills the processes in the group that pid leads.
func killGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}
