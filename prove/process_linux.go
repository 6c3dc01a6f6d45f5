package prove

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr starts a process as o, in a group of its own, with a signal to end
// at once when the thread that started it ends. The kernel forgets the signal
// when the user changes; the syscall package asks for it after that.
func sysProcAttr(o owner) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	attr.Credential = credential(o)
	return attr, nil
}

// descendants are the ids of the children of a process, and of theirs.
func descendants(pid int) []int {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := make(map[int][]int)
	for _, p := range procs {
		id, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if parent, _, ok := processStat(id); ok {
			children[parent] = append(children[parent], id)
		}
	}
	var found []int
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		found = append(found, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return found
}

// running says that there is a process with the id which does not just wait to
// be reaped.
func running(pid int) bool {
	_, state, ok := processStat(pid)
	return ok && state != 'Z' && state != 'X'
}

// processStat reads the parent and the state of a process. Its name, the second
// field of /proc/<pid>/stat, is in parentheses and may contain blanks and
// parentheses.
func processStat(pid int) (parent int, state byte, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, fields[0][0], err == nil
}

// removeSharedMemory removes a System V segment.
func removeSharedMemory(id int) {
	_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
}
