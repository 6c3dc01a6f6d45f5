package pgtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	serverDirPrefix  = "pgtest-" // of directories made for servers
	dataPrefix       = "data-"   // of the data directory in them
	tablespacePrefix = "tblspc-" // of tablespaces in them
)

var sweepOnce sync.Once

// newServerDir makes the directory for a server and locks a file in it for as long as this process needs it. Large trees in it
// should have names of their own; see unique and Spread.
func newServerDir(o owner) (string, *os.File, error) {
	base, err := socketBase(o)
	if err != nil {
		return "", nil, err
	}
	sweepOnce.Do(func() { sweep(base) })
	dir, err := os.MkdirTemp(base, serverDirPrefix)
	if err != nil {
		return "", nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		_, err = lockFile(f, true)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = o.giveOne(dir)
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		os.RemoveAll(dir)
		return "", nil, err
	}
	Spread(dir)
	return dir, f, nil
}

// unique is a path in a server directory that begins with name and has not been used for another server.
func unique(dir, name string) string {
	return filepath.Join(dir, name+strings.TrimPrefix(filepath.Base(dir), serverDirPrefix))
}

// socketBase returns a directory for temporary files that the server's user can reach and whose name is short enough: the
// name of a Unix socket has room for about 100 bytes.
func socketBase(o owner) (string, error) {
	base := os.TempDir()
	blocked, err := o.blockers(base)
	if err != nil {
		return "", err
	}
	if len(blocked) > 0 || len(base) > 60 {
		return "/tmp", nil
	}
	return base, nil
}

// sweep removes what processes that were killed have left behind: directories whose lock nobody holds. Young ones are left
// alone, because their maker may not have come to the lock yet.
func sweep(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, serverDirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(filepath.Join(dir, "lock"))
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if uid, _ := fileOwner(info); uid != os.Geteuid() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if free, err := lockFile(f, false); err == nil && free {
			sweepSharedMemory(unique(dir, dataPrefix))
			os.RemoveAll(dir)
		}
		f.Close()
	}
}

// sweepSharedMemory removes the shared memory of the server that ran in a swept directory, unless it still runs.
func sweepSharedMemory(dataDir string) {
	lines := lockFileLines(dataDir)
	if len(lines) == 0 {
		return
	}
	if pid, err := strconv.Atoi(lines[0]); err == nil && ended(pid) {
		releaseSharedMemory(dataDir, pid)
	}
}
