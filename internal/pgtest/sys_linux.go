package pgtest

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr returns attributes that start a process as o and send it sig when this process dies. The kernel takes the death
// of the starting thread for the death of the process, so the caller must keep its thread until the child has ended.
func sysProcAttr(o owner, sig syscall.Signal) *syscall.SysProcAttr {
	attr := credential(o)
	attr.Pdeathsig = sig
	return attr
}

// children returns the ids of the processes whose parent is pid.
func children(pid int) []int {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var ids []int
	for _, p := range procs {
		id, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if ppid, _, ok := processStat(id); ok && ppid == pid {
			ids = append(ids, id)
		}
	}
	return ids
}

// ended says that a process no longer runs: there is none with the id, or it waits to be reaped.
func ended(pid int) bool {
	_, state, ok := processStat(pid)
	return !ok || state == 'Z' || state == 'X'
}

// processStat reads the parent and the state of a process. The name in /proc/<pid>/stat may contain blanks and parentheses, so
// fields are counted from its last closing one.
func processStat(pid int) (ppid int, state byte, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	ppid, err = strconv.Atoi(string(fields[1]))
	return ppid, fields[0][0], err == nil
}

// removeSharedMemory removes the System V segment that a killed server leaves behind.
func removeSharedMemory(id int) {
	_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
}

// topDir is FS_TOPDIR_FL of linux/fs.h, what chattr calls T.
const topDir = 0x00020000

// Spread asks ext4 to put new directories in dir, and what comes into them, in parts of the disk that depend on their names,
// which should be new ones. Without it, they go where the files of servers that were removed a moment ago have been, and ext4,
// which does not use the inode of a file removed in the last seconds, looks at each of those for every new file: a copy of
// a thousand files takes seconds. Other file systems refuse, and need no help.
func Spread(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir)
	}
}
