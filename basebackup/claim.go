package basebackup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// claim is a directory that a backup fills: one that it made, or one that was
// there and empty. Everything in it is the backup's own, to be removed again
// when the backup fails.
type claim struct {
	what string // "data", "WAL", "tablespace", for messages
	path string
	made string   // the uppermost directory that was made for it; "" if it was there
	lock *os.File // held so that two backups cannot take the same empty directory
}

// claimDirectory makes the directory, or finds it empty and writable.
func claimDirectory(what, path string, mode fs.FileMode) (*claim, error) {
	c := &claim{what: what, path: path}
	made, err := makeAll(path, mode)
	c.made = made
	if err != nil {
		return c, fmt.Errorf("could not create directory %q: %w", path, err)
	}
	if c.lock, err = lockDirectory(path); err != nil {
		return c, fmt.Errorf("could not access directory %q: %w", path, err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		c.release()
		return c, fmt.Errorf("could not access directory %q: %w", path, err)
	}
	if len(entries) > 0 {
		c.release()
		return nil, &NotEmptyError{Path: path}
	}
	if c.made != "" {
		return c, nil
	}
	// Whether files can be made here is better known before the server has
	// done a checkpoint and sent the first gigabytes.
	probe, err := os.CreateTemp(path, ".pgbasin-*")
	if err != nil {
		c.release()
		return c, fmt.Errorf("could not write to directory %q: %w", path, err)
	}
	return c, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// NotEmptyError says that a directory which a backup should fill holds
// something.
type NotEmptyError struct{ Path string }

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("directory %q exists but is not empty", e.Path)
}

// makeAll makes path and what is missing above it, and returns the uppermost
// directory that it made.
func makeAll(path string, mode fs.FileMode) (made string, err error) {
	err = makeOne(path, mode)
	parent := filepath.Dir(path)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, fs.ErrExist):
		return "", nil
	case !errors.Is(err, fs.ErrNotExist) || parent == path:
		return "", err
	}
	if _, statErr := os.Stat(parent); statErr == nil {
		return "", err // the parent is there and yet nothing can be made in it, as in /proc
	}
	if made, err = makeAll(parent, mode); err != nil {
		return made, err
	}
	err = makeOne(path, mode)
	if err == nil && made == "" {
		made = path
	}
	return made, err
}

// makeOne makes one directory with exactly this mode, whatever the umask is.
func makeOne(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// sync makes the directory's own entry durable, and those of the directories
// made above it.
func (c *claim) sync() error {
	if c.made == "" {
		return nil
	}
	for path := c.path; ; path = filepath.Dir(path) {
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
		if path == c.made || path == filepath.Dir(path) {
			return nil
		}
	}
}

// remove takes away what the backup left in the directory, and the directory
// itself if the backup made it.
func (c *claim) remove(o *Observer) {
	defer c.release()
	if c.made != "" {
		o.cleanup(fmt.Sprintf("removing %s directory %q", c.what, c.path))
		if err := os.RemoveAll(c.made); err != nil {
			o.cleanup(fmt.Sprintf("failed to remove %s directory: %v", c.what, err))
		}
		return
	}
	o.cleanup(fmt.Sprintf("removing contents of %s directory %q", c.what, c.path))
	entries, err := os.ReadDir(c.path)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(c.path, e.Name())))
	}
	if err != nil {
		o.cleanup(fmt.Sprintf("failed to remove contents of %s directory: %v", c.what, err))
	}
}

// keep leaves the directory as it is and says so.
func (c *claim) keep(o *Observer) {
	c.release()
	o.cleanup(fmt.Sprintf("%s directory %q not removed at user's request", c.what, c.path))
}

func (c *claim) release() {
	if c.lock != nil {
		c.lock.Close()
		c.lock = nil
	}
}

// claims are all directories of one backup, in the order in which they were
// taken.
type claims []*claim

// take adds a directory. A directory that was made although taking it failed
// is remembered too, so that it is removed with the others.
func (cs *claims) take(what, path string, mode fs.FileMode) error {
	c, err := claimDirectory(what, path, mode)
	if c != nil && (err == nil || c.made != "") {
		*cs = append(*cs, c)
	}
	return err
}

func (cs claims) remove(o *Observer) {
	for _, c := range cs {
		c.remove(o)
	}
}

func (cs claims) keep(o *Observer) {
	for _, c := range cs {
		c.keep(o)
	}
}

// sync makes the directories' contents durable, then their names.
func (cs claims) sync(m durable.SyncMethod) error {
	for _, c := range cs {
		if err := durable.SyncTree(c.path, m); err != nil {
			return err
		}
	}
	if m == durable.NoSync {
		return nil
	}
	for _, c := range cs {
		if err := c.sync(); err != nil {
			return err
		}
	}
	return nil
}

func (cs claims) release() {
	for _, c := range cs {
		c.release()
	}
}
