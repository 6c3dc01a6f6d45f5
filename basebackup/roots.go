package basebackup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
)

// roots are the directories that files of a backup are in, which open only what is below
// them. They may be used by several goroutines at once.
type roots struct {
	data   string
	spaces map[string]string // "pg_tblspc/16385" -> the directory here

	mu   sync.Mutex
	dirs map[string]*os.Root
}

func newRoots(data string, places []place) *roots {
	r := &roots{data: data, spaces: make(map[string]string), dirs: make(map[string]*os.Root)}
	for _, p := range places {
		if link, _, ok := tablespacePath(p.name + "/"); ok {
			r.spaces[link] = p.path
		}
	}
	return r
}

// locate tells in which directory, and under which name, the file is that the manifest
// has at path.
func (r *roots) locate(path string) (dir, name string) {
	if link, rest, ok := tablespacePath(path); ok {
		if dir, ok := r.spaces[link]; ok {
			return dir, rest
		}
	}
	return r.data, path
}

func (r *roots) root(dir string) (*os.Root, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if root := r.dirs[dir]; root != nil {
		return root, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", dir, err)
	}
	r.dirs[dir] = root
	return root, nil
}

func (r *roots) close() {
	if r == nil {
		return
	}
	for dir, root := range r.dirs {
		root.Close()
		delete(r.dirs, dir)
	}
}

var (
	errNotRegular = errors.New("is not a regular file")
	errBelowLink  = errors.New("a symbolic link is in the way")
)

// open opens a regular file that is there. Symbolic links are not followed, not even
// to what is below the same directory.
func (r *roots) open(name string, flag int) (*os.File, fs.FileInfo, error) {
	dir, name := r.locate(name)
	root, err := r.root(dir)
	if err != nil {
		return nil, nil, err
	}
	for above := path.Dir(name); above != "."; above = path.Dir(above) {
		info, err := root.Lstat(above)
		if err != nil {
			return nil, nil, err
		}
		if !info.IsDir() {
			return nil, nil, fmt.Errorf("file %q: %w", name, errBelowLink)
		}
	}
	want, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !want.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("file %q: %w", name, errNotRegular)
	}
	f, err := root.OpenFile(name, flag, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(want, info) {
		err = fmt.Errorf("file %q was replaced while it was opened", name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func (r *roots) remove(path string) error {
	dir, name := r.locate(path)
	root, err := r.root(dir)
	if err != nil {
		return err
	}
	return root.Remove(name)
}
