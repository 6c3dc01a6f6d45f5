//go:build unix

package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/durable"
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

// place gives the file its name, durably, unless there is one of that name
// already: then the error wraps fs.ErrExist. When the name cannot be made durable
// the file loses it again, before it is unlocked: whoever has seen it in the
// meantime waits for that (settled), and does not take the next sync, which may
// succeed for nothing, for a promise.
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
	err = durable.SyncDirIn(t.dir, ".")
	if err != nil && t.locked && t.dir.Rename(name, t.name) == nil {
		return err
	}
	t.done = true
	return errors.Join(err, t.close())
}

// settled waits until no other process is about to give a file its name, and
// tells whether it has it then.
func settled(ctx context.Context, path string) (bool, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return false, &UnreachableError{filepath.Dir(path), reason(err)}
	}
	defer dir.Close()
	name := filepath.Base(path)
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not open file %q: %w", path, reason(err))
	}
	defer f.Close()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		switch err {
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
		default: // locked, or not lockable
			return isAt(f, dir, name), nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// lockPause is the time between looks at a lock of another process.
const lockPause = 10 * time.Millisecond

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
