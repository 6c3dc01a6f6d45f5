package walarchive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

type lockState int

const (
	lockedHere lockState = iota
	lockedByOther
	notLockable
)

// lock has nothing to do: the system does not remove files that are open.
func lock(*os.File) lockState { return lockedHere }

// removeSwept fails for a file that another process has open.
func removeSwept(f *os.File, dir *os.Root, name string) {
	f.Close()
	dir.Remove(name)
}

// remove removes the file when it is closed: before, it cannot be.
func (t *temp) remove() {
	t.Close()
	t.dir.Remove(t.name)
}

// place gives the file its name, durably, unless there is one of that name
// already: then the error wraps fs.ErrExist.
func (t *temp) place(name string) error { return t.rename(name, windows.MOVEFILE_WRITE_THROUGH) }

// settled has nothing to wait for: a name that was given stays.
func settled(context.Context, string) (bool, error) { return true, nil }

// replace gives the file its name, whatever had it before.
func (t *temp) replace(name string) error {
	return t.rename(name, windows.MOVEFILE_WRITE_THROUGH|windows.MOVEFILE_REPLACE_EXISTING)
}

// rename goes by paths: os.Root has no call that leaves alone what has the name.
func (t *temp) rename(name string, flags uint32) error {
	path := filepath.Join(t.dir.Name(), name)
	if err := t.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", t.path, reason(err))
	}
	from, err := windows.UTF16PtrFromString(t.path)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(from, to, flags); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", t.path, path, err)
	}
	t.done = true
	return nil
}
