// Package claim takes the directories that a backup or a restore fills: it
// makes them or finds them empty, keeps others out, and removes what was left
// in them when the work fails.
package claim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// Set are the directories of one backup or restore, in the order in which they
// were taken. The zero value is ready for use.
type Set struct {
	// Leftover, if not nil, is asked about a directory that is not empty, while
	// it is locked: whether what it holds is debris that may be removed.
	Leftover func(path string) bool
	// Spare is the name of a file that is left in place when debris is removed:
	// what tells debris should go last.
	Spare string

	dirs []*dir
}

// dir is a directory that was made, or that was there and empty. Everything in
// it belongs to who took it.
type dir struct {
	what string // "data", "WAL", "tablespace", for messages
	path string
	made string   // the uppermost directory that was made for it; "" if it was there
	lock *os.File // held so that two cannot take the same empty directory
}

// ProbePrefix begins the names of files that are made for a moment in a
// directory which is about to be filled. A directory that holds nothing else
// counts as empty.
const ProbePrefix = ".pgbasin-"

// NotEmptyError says that a directory which should be filled holds something.
type NotEmptyError struct{ Path string }

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("directory %q exists but is not empty", e.Path)
}

// Take makes the directory with all that is missing above it, or finds it empty
// and writable. What names it in messages. A directory that was made although
// taking it failed belongs to the set too, so that it is removed with the
// others.
func (s *Set) Take(what, path string, mode fs.FileMode) error {
	d := &dir{what: what, path: path}
	err := d.take(mode, s)
	if err == nil || d.made != "" {
		s.dirs = append(s.dirs, d)
	}
	return err
}

func (d *dir) take(mode fs.FileMode, s *Set) error {
	made, err := MakeAll(d.path, mode)
	d.made = made
	if err != nil {
		return fmt.Errorf("could not create directory %q: %w", d.path, err)
	}
	if d.lock, err = lockDirectory(d.path); err != nil {
		return fmt.Errorf("could not access directory %q: %w", d.path, err)
	}
	if err = d.empty(s); err != nil {
		d.release()
		return err
	}
	if d.made != "" {
		return nil
	}
	// Whether files can be made here is better known before gigabytes were
	// read or sent.
	probe, err := os.CreateTemp(d.path, ProbePrefix+"*")
	if err != nil {
		d.release()
		return fmt.Errorf("could not write to directory %q: %w", d.path, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// TakeOver takes a directory with all that is in it, which an earlier process that
// filled it has left. made is what Made returned there.
func (s *Set) TakeOver(what, path, made string) error {
	lock, err := lockDirectory(path)
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", path, err)
	}
	s.dirs = append(s.dirs, &dir{what: what, path: path, made: made, lock: lock})
	return nil
}

// Adopt notes what was made for a directory that was taken over.
func (s *Set) Adopt(path, made string) {
	for _, d := range s.dirs {
		if d.path == path {
			d.made = made
		}
	}
}

// Made is the uppermost directory that was made for the one at path, "" if that was
// there before.
func (s *Set) Made(path string) string {
	for _, d := range s.dirs {
		if d.path == path {
			return d.made
		}
	}
	return ""
}

// Drop empties one of the directories, and removes it and what was made above it
// unless that holds something else. It is not part of the set any more.
func (s *Set) Drop(path string) error {
	i := slices.IndexFunc(s.dirs, func(d *dir) bool { return d.path == path })
	if i < 0 {
		return nil
	}
	d := s.dirs[i]
	s.dirs = slices.Delete(s.dirs, i, i+1)
	defer d.release()
	if err := d.removeContents(""); err != nil || d.made == "" {
		return err
	}
	for path := d.path; os.Remove(path) == nil && path != d.made && path != filepath.Dir(path); {
		path = filepath.Dir(path)
	}
	return nil
}

// empty sees that nothing is in the directory, or removes debris.
func (d *dir) empty(s *Set) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", d.path, err)
	}
	if OnlyProbes(entries) {
		// Who made them was killed before there was anything else.
		return d.removeContents("")
	}
	if s.Leftover == nil || !s.Leftover(d.path) {
		return &NotEmptyError{Path: d.path}
	}
	if err := d.removeContents(s.Spare); err != nil {
		return fmt.Errorf("could not remove what is left in directory %q: %w", d.path, err)
	}
	return nil
}

// OnlyProbes tells whether a directory with these entries counts as empty.
func OnlyProbes(entries []fs.DirEntry) bool {
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), ProbePrefix) })
}

func (d *dir) removeContents(spare string) error {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		if e.Name() == spare {
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.path, e.Name())))
	}
	return err
}

// MakeAll makes path and what is missing above it, and returns the uppermost
// directory that it made, "" if path was there.
func MakeAll(path string, mode fs.FileMode) (made string, err error) {
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
	if made, err = MakeAll(parent, mode); err != nil {
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

// Sync makes the directories' contents durable, then their names.
func (s *Set) Sync(m durable.SyncMethod) error {
	for _, d := range s.dirs {
		if err := durable.SyncTree(d.path, m); err != nil {
			return err
		}
	}
	if m == durable.NoSync {
		return nil
	}
	return s.syncNames()
}

// SyncDirs is Sync for directories of which every file was synced by who wrote
// it.
func (s *Set) SyncDirs() error {
	for _, d := range s.dirs {
		if err := durable.SyncDirs(d.path); err != nil {
			return err
		}
	}
	return s.syncNames()
}

func (s *Set) syncNames() error {
	for _, d := range s.dirs {
		if err := d.syncName(); err != nil {
			return err
		}
	}
	return nil
}

// syncName makes the directory's own entry durable, and those of the
// directories made above it.
func (d *dir) syncName() error {
	if d.made == "" {
		return nil
	}
	for path := d.path; ; path = filepath.Dir(path) {
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
		if path == d.made || path == filepath.Dir(path) {
			return nil
		}
	}
}

// Remove takes away what was left in the directories, and those that were made,
// and tells say what it does. The set is released.
func (s *Set) Remove(say func(string)) {
	for _, d := range s.dirs {
		d.remove(say)
	}
}

func (d *dir) remove(say func(string)) {
	defer d.release()
	if d.made != "" {
		say(fmt.Sprintf("removing %s directory %q", d.what, d.path))
		if err := os.RemoveAll(d.made); err != nil {
			say(fmt.Sprintf("failed to remove %s directory: %v", d.what, err))
		}
		return
	}
	say(fmt.Sprintf("removing contents of %s directory %q", d.what, d.path))
	if err := d.removeContents(""); err != nil {
		say(fmt.Sprintf("failed to remove contents of %s directory: %v", d.what, err))
	}
}

// Keep leaves the directories as they are and says so. The set is released.
func (s *Set) Keep(say func(string)) {
	for _, d := range s.dirs {
		d.release()
		say(fmt.Sprintf("%s directory %q not removed at user's request", d.what, d.path))
	}
}

// Release lets others at the directories.
func (s *Set) Release() {
	for _, d := range s.dirs {
		d.release()
	}
}

func (d *dir) release() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}
