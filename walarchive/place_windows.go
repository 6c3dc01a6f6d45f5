package walarchive

import (
	"context"
	"fmt"
	"os"

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
func removeSwept(f *os.File, path string) {
	f.Close()
	os.Remove(path)
}

// remove removes the file when it is closed: before, it cannot be.
func (t *temp) remove() {
	t.Close()
	os.Remove(t.path)
}

// place gives the file its name, durably, unless there is one of that name
// already: then the error wraps fs.ErrExist.
func (t *temp) place(path string) error { return t.rename(path, windows.MOVEFILE_WRITE_THROUGH) }

// settled has nothing to wait for: a name that was given stays.
func settled(context.Context, string) (bool, error) { return true, nil }

// replace gives the file its name, whatever had it before.
func (t *temp) replace(path string) error {
	return t.rename(path, windows.MOVEFILE_WRITE_THROUGH|windows.MOVEFILE_REPLACE_EXISTING)
}

func (t *temp) rename(path string, flags uint32) error {
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
