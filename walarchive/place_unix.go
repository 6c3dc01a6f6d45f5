//go:build unix

package walarchive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

type lockState int

const (
	lockedHere lockState = iota
	lockedByOther
	notLockable
)

// lock locks a file until it is closed, or its process ends, if no other process
// has it locked.
func lock(f *os.File) lockState {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return lockedHere
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return lockedByOther
		default:
			return notLockable
		}
	}
}

// removeSwept removes a file while it is locked.
func removeSwept(_ *os.File, dir *os.Root, name string) { dir.Remove(name) }

// remove removes the file before it is unlocked: afterwards the name may be
// another's.
func (t *temp) remove() {
	t.dir.Remove(t.name)
	t.Close()
}

// place gives the file its name unless there is one of that name already: then
// the error wraps fs.ErrExist.
func (t *temp) place(name string) error {
	err := renameNew(t.dir, t.name, name)
	if errors.Is(err, errors.ErrUnsupported) {
		if err = t.dir.Link(t.name, name); err == nil {
			err = t.dir.Remove(t.name)
		}
	}
	if err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", t.path, filepath.Join(t.dir.Name(), name), linkReason(err))
	}
	t.done = true
	return t.close()
}

// replace gives the file its name, whatever had it before.
func (t *temp) replace(name string) error {
	if err := t.dir.Rename(t.name, name); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", t.path, filepath.Join(t.dir.Name(), name), linkReason(err))
	}
	t.done = true
	return t.close()
}

func linkReason(err error) error {
	var e *os.LinkError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func (t *temp) close() error {
	if err := t.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("could not close file %q: %w", t.path, reason(err))
	}
	return nil
}
