package walarchive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// temp is a file that gets its name when it is complete. It is locked while it is
// in use, so that one that a killed process left can be told and removed. All of
// its names are in one directory, which stays the same when another one gets its
// path.
type temp struct {
	*os.File
	dir    *os.Root
	name   string
	path   string // for messages
	locked bool   // not so on file systems that have no locks
	done   bool
}

// tempFiles is how many may be in use at a time.
const tempFiles = 1000

// abandoned is the age at which a temporary file is taken for left behind on a
// file system that has no locks.
const abandoned = 24 * time.Hour

// newTemp makes a file in dir whose name is prefix and a number, the lowest that
// is not in use, and removes those that were left behind.
func newTemp(dir *os.Root, prefix string, mode fs.FileMode) (*temp, error) {
	for i := range tempFiles {
		name := prefix + strconv.Itoa(i)
		path := filepath.Join(dir.Name(), name)
		sweep(dir, name)
		f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("could not create file %q: %w", path, reason(err))
		}
		l := lock(f)
		t := &temp{File: f, dir: dir, name: name, path: path, locked: l == lockedHere}
		if l == lockedByOther || !isAt(f, dir, name) {
			f.Close() // swept before it was locked
			continue
		}
		if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.discard()
			return nil, fmt.Errorf("could not set permissions of file %q: %w", path, reason(err))
		}
		for i++; sweep(dir, prefix+strconv.Itoa(i)); i++ {
		}
		return t, nil
	}
	return nil, fmt.Errorf("could not create file %q: %d of its kind exist", filepath.Join(dir.Name(), prefix+"0"), tempFiles)
}

// discard removes the file unless it got its name.
func (t *temp) discard() {
	if !t.done {
		t.done = true
		t.remove()
	}
}

// sweep removes a temporary file that no process has open, and tells whether
// there was one, in use or not. A file that was given its final name by a link is
// removed like any other: never changed.
func sweep(dir *os.Root, name string) (there bool) {
	info, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	if !info.Mode().IsRegular() {
		return true
	}
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return true
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return true
	}
	if stale(lock(f), info.ModTime()) && isAt(f, dir, name) {
		removeSwept(f, dir, name)
	}
	return true
}

func stale(l lockState, modified time.Time) bool {
	return l == lockedHere || l == notLockable && time.Since(modified) > abandoned
}

// isAt tells whether name is a name of f.
func isAt(f *os.File, dir *os.Root, name string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := dir.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

// modeFor is the mode of files in a directory: the group may read them if it may
// read the directory.
func modeFor(dir *os.Root) fs.FileMode {
	info, err := dir.Stat(".")
	if err == nil && info.Mode()&0o040 != 0 {
		return 0o640
	}
	return 0o600
}
