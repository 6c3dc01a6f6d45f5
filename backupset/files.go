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

	mu  sync.Mutex
	wal map[string]*os.Root // where links of the WAL directory lead, nil for a directory
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
	return &Files{set: s, a: a, root: root, wal: map[string]*os.Root{}}, nil
}

// Close releases what is held open. Files that were opened stay open.
func (f *Files) Close() error {
	err := f.root.Close()
	for _, r := range f.wal {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}
	return err
}

// List shows v all members in the order of Read, of files the header alone.
func (f *Files) List(ctx context.Context, v tarstream.Visitor) error {
	return f.set.walk(ctx, f.a, v, true, f.set.note)
}

// Path is where a file is.
func (f *Files) Path(name string) string {
	return filepath.Join(f.a.path, filepath.FromSlash(name))
}

// Open opens a regular file. The error wraps fs.ErrNotExist if there is none of
// the name. The caller closes it.
func (f *Files) Open(name string) (*os.File, fs.FileInfo, error) {
	root, name, err := f.at(name)
	if err != nil {
		return nil, nil, err
	}
	return openRegular(root, name)
}

// Has tells whether there is anything of the name.
func (f *Files) Has(name string) (bool, error) {
	root, name, err := f.at(name)
	if err != nil {
		return false, err
	}
	_, err = root.Lstat(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", f.Path(name), err)
	}
	return true, nil
}

// at is the directory that name is to be opened in: the link of the WAL
// directory is the only one that is followed.
func (f *Files) at(name string) (*os.Root, string, error) {
	dir, rest, below := strings.Cut(name, "/")
	if !below || !isWALDirectory(dir) || f.a.Kind != Data {
		return f.root, name, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	root, known := f.wal[dir]
	if !known {
		info, err := f.root.Lstat(dir)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			root, err = os.OpenRoot(f.Path(dir))
		}
		if err != nil {
			return nil, "", fmt.Errorf("could not open directory %q: %w", f.Path(dir), err)
		}
		f.wal[dir] = root
	}
	if root == nil {
		return f.root, name, nil
	}
	return root, rest, nil
}
