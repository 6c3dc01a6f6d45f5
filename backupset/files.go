package backupset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pgbasin/pgbasin/tarstream"
)

// Files gives the files of an archive of a plain backup one by one, for readers
// that choose the order. Names are those of Read. Several goroutines may use it
// at once. Close must be called.
type Files struct {
	set  *Set
	a    *Archive
	root *os.Root

	mu   sync.Mutex
	dirs [heldDirectories]heldDirectory // in which files were opened last
	next int                            // of them to be replaced
}

// heldDirectories is how many directories are held open, so that a file in one
// takes one step to reach.
const heldDirectories = 16

type heldDirectory struct {
	name string
	root *os.Root // nil = none
}

// Files opens an archive of a plain backup.
func (s *Set) Files(a *Archive) (*Files, error) {
	if s.Form != Plain {
		return nil, fmt.Errorf("backup %q is no data directory", s.Path)
	}
	root, err := os.OpenRoot(a.path)
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", a.path, err)
	}
	return &Files{set: s, a: a, root: root}, nil
}

// Close releases what is held open. Files that were opened stay open.
func (f *Files) Close() error {
	err := f.root.Close()
	for _, d := range f.dirs {
		if d.root != nil {
			err = errors.Join(err, d.root.Close())
		}
	}
	return err
}

// List shows v all members in the order of Read, of files the header alone.
func (f *Files) List(ctx context.Context, v tarstream.Visitor) error {
	return f.set.walk(ctx, f.a, v, walker{sizesOnly: true, note: f.set.note})
}

// Path is where a file is.
func (f *Files) Path(name string) string {
	return filepath.Join(f.a.path, filepath.FromSlash(name))
}

// Open opens a regular file. The error wraps fs.ErrNotExist if there is none of
// the name. The caller closes it.
func (f *Files) Open(name string) (file *os.File, info fs.FileInfo, err error) {
	err = f.in(name, func(dir *os.Root, base string) error {
		file, info, err = openRegularAt(dir, base, f.Path(name))
		return err
	})
	return file, info, err
}

// Has tells whether there is anything of the name.
func (f *Files) Has(name string) (bool, error) {
	err := f.in(name, func(dir *os.Root, base string) error {
		_, err := dir.Lstat(base)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", f.Path(name), err)
	}
	return true, nil
}

// in calls do with the directory that a file is in, and the rest of its name.
func (f *Files) in(name string, do func(dir *os.Root, base string) error) error {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return do(f.root, name)
	}
	for {
		dir, err := f.directory(name[:i])
		if err != nil {
			return fmt.Errorf("could not open directory %q: %w", f.Path(name[:i]), err)
		}
		// Another goroutine may have replaced it meanwhile.
		if err := do(dir, name[i+1:]); !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
}

// directory opens a directory and keeps it open for a while.
func (f *Files) directory(name string) (*os.Root, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.dirs {
		if d := &f.dirs[i]; d.root != nil && d.name == name {
			return d.root, nil
		}
	}
	root, err := f.openDirectory(name)
	if err != nil {
		return nil, err
	}
	d := &f.dirs[f.next]
	f.next = (f.next + 1) % len(f.dirs)
	if d.root != nil {
		d.root.Close()
	}
	d.name, d.root = name, root
	return root, nil
}

// openDirectory opens a directory below the root. The link of the WAL directory
// is the only one that is followed out of it.
func (f *Files) openDirectory(name string) (*os.Root, error) {
	first, rest, below := strings.Cut(name, "/")
	if f.a.Kind != Data || !isWALDirectory(first) {
		return f.root.OpenRoot(filepath.FromSlash(name))
	}
	info, err := f.root.Lstat(first)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return f.root.OpenRoot(filepath.FromSlash(name))
	}
	wal, err := os.OpenRoot(f.Path(first))
	if err != nil || !below {
		return wal, err
	}
	defer wal.Close()
	return wal.OpenRoot(filepath.FromSlash(rest))
}
