//go:build unix

package walarchive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
func removeSwept(_ *os.File, path string) { os.Remove(path) }

// remove removes the file before it is unlocked: afterwards the name may be
// another's.
func (t *temp) remove() {
	os.Remove(t.path)
	t.Close()
}

// place gives the file its name unless there is one of that name already: then
// the error wraps fs.ErrExist.
func (t *temp) place(path string) error {
	err := renameNew(t.path, path)
	if errors.Is(err, errors.ErrUnsupported) {
		if err = os.Link(t.path, path); err == nil {
			err = os.Remove(t.path)
		}
	}
	if err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", t.path, path, linkReason(err))
	}
	t.done = true
	return t.close()
}

// replace gives the file its name, whatever had it before.
func (t *temp) replace(path string) error {
	if err := os.Rename(t.path, path); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", t.path, path, linkReason(err))
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
