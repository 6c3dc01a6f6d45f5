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
	Leftover func(dir *os.Root) bool
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
	root *os.Root // nil when it was released
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
	if d.root, err = durable.OpenRoot(d.path); err == nil {
		d.lock, err = lockDirectory(d.root)
	}
	if err != nil {
		d.release()
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
	probe, name, err := durable.CreateTemp(d.root, ProbePrefix)
	if err != nil {
		d.release()
		return fmt.Errorf("could not write to directory %q: %w", d.path, err)
	}
	return errors.Join(probe.Close(), d.root.Remove(name))
}

// TakeOver takes a directory with all that is in it, which an earlier process that
// filled it has left. made is what Made returned there.
func (s *Set) TakeOver(what, path, made string) error {
	d := &dir{what: what, path: path, made: made}
	var err error
	if d.root, err = durable.OpenRoot(path); err == nil {
		d.lock, err = lockDirectory(d.root)
	}
	if err != nil {
		d.release()
		return fmt.Errorf("could not access directory %q: %w", path, err)
	}
	s.dirs = append(s.dirs, d)
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
	entries, err := entries(d.root)
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", d.path, err)
	}
	if OnlyProbes(entries) {
		// Who made them was killed before there was anything else.
		return d.removeContents("")
	}
	if s.Leftover == nil || !s.Leftover(d.root) {
		return &NotEmptyError{Path: d.path}
	}
	if err := d.removeContents(s.Spare); err != nil {
		return fmt.Errorf("could not remove what is left in directory %q: %w", d.path, err)
	}
	return nil
}

func entries(root *os.Root) ([]fs.DirEntry, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	list, err := f.ReadDir(-1)
	return list, errors.Join(err, f.Close())
}

// OnlyProbes tells whether a directory with these entries counts as empty.
func OnlyProbes(entries []fs.DirEntry) bool {
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), ProbePrefix) })
}

func (d *dir) removeContents(spare string) error {
	list, err := entries(d.root)
	for _, e := range list {
		if e.Name() != spare {
			err = errors.Join(err, d.root.RemoveAll(e.Name()))
		}
	}
	return err
}

// Root is the open directory that was taken at path. It is the set's, which
// closes it when it is released. What is made through it is in the directory that
// was taken, also if another one, or a link, has the path by then.
func (s *Set) Root(path string) *os.Root {
	for _, d := range s.dirs {
		if d.path == path {
			return d.root
		}
	}
	return nil
}

// Open opens a directory that was taken, or one below. The caller closes it.
func (s *Set) Open(path string) (*os.Root, error) {
	for _, d := range s.dirs {
		if d.root == nil {
			continue
		}
		below, err := filepath.Rel(d.path, path)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		if below == "." {
			return d.open()
		}
		return d.root.OpenRoot(below)
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// open opens the directory once more, by its path, which is in the names of files
// that are opened below.
func (d *dir) open() (*os.Root, error) {
	again, err := durable.OpenRoot(d.path)
	if err != nil {
		return nil, d.missing(err)
	}
	now, err := again.Stat(".")
	if err == nil {
		err = d.same(now)
	}
	if err != nil {
		return nil, errors.Join(err, again.Close())
	}
	return again, nil
}

// Sync makes the directories' contents durable, then their names. It is an error
// if a directory's path leads to another one by now.
func (s *Set) Sync(m durable.SyncMethod) error {
	if err := s.inPlace(); err != nil {
		return err
	}
	for _, d := range s.dirs {
		if err := durable.SyncTree(d.root, m); err != nil {
			return err
		}
	}
	if m == durable.NoSync {
		return nil
	}
	return s.SyncNames()
}

// SyncWritten is Sync for directories of which every file was synced by who wrote
// it, if m is durable.Fsync.
func (s *Set) SyncWritten(m durable.SyncMethod) error {
	if m != durable.Fsync {
		return s.Sync(m)
	}
	if err := s.inPlace(); err != nil {
		return err
	}
	for _, d := range s.dirs {
		if err := durable.SyncDirs(d.root); err != nil {
			return err
		}
	}
	return s.SyncNames()
}

// inPlace tells whether the directories that were filled are those that will be
// found at their paths.
func (s *Set) inPlace() error {
	for _, d := range s.dirs {
		if err := d.inPlace(); err != nil {
			return err
		}
	}
	return nil
}

func (d *dir) inPlace() error {
	now, err := os.Stat(d.path)
	if err != nil {
		return d.missing(err)
	}
	return d.same(now)
}

// same tells whether what is at the directory's path is the directory.
func (d *dir) same(now fs.FileInfo) error {
	taken, err := d.root.Stat(".")
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", d.path, err)
	}
	if !os.SameFile(taken, now) {
		return fmt.Errorf("directory %q was replaced by another while it was filled", d.path)
	}
	return nil
}

// missing tells of a directory that cannot be found at its path.
func (d *dir) missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("directory %q was moved or removed while it was filled", d.path)
	}
	return fmt.Errorf("could not access directory %q: %w", d.path, err)
}

// SyncNames makes the directories' own names durable.
func (s *Set) SyncNames() error {
	for _, d := range s.dirs {
		if err := d.syncName(); err != nil {
			return err
		}
	}
	return nil
}

// syncName makes the directory's own entry durable, and those of the directories
// above it. Those that were there count, too: a backup or restore that was
// killed may have made them. If this process may not read where they are, it has
// not made them, and it goes without.
func (d *dir) syncName() error {
	ours := d.made != ""
	for path := d.path; path != filepath.Dir(path); path = filepath.Dir(path) {
		err := durable.SyncDir(filepath.Dir(path))
		if err != nil && (ours || !errors.Is(err, fs.ErrPermission)) {
			return err
		}
		ours = ours && path != d.made
	}
	return nil
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
	what := "removing contents of"
	if d.made != "" {
		what = "removing"
	}
	say(fmt.Sprintf("%s %s directory %q", what, d.what, d.path))
	var err error
	if d.root != nil {
		err = d.removeContents("")
	}
	if err != nil {
		say(fmt.Sprintf("failed to remove contents of %s directory: %v", d.what, err))
	}
	if d.made == "" || err != nil {
		return
	}
	if err := os.RemoveAll(d.made); err != nil {
		say(fmt.Sprintf("failed to remove %s directory: %v", d.what, err))
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
	if d.root != nil {
		d.root.Close()
		d.root = nil
	}
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}
