package walstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// WriteFile implements Sink. Unless NoSync was asked for, a file with content is
// durable when it returns, and an empty one, of which there are many, after the
// next Sync.
func (d *Directory) WriteFile(name string, content []byte) error {
	root, err := d.root()
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if dir != "." {
		if err := claim.MakeBelow(root, dir, d.o.DirMode); err != nil {
			return err
		}
	}
	if len(content) == 0 {
		d.mu.Lock()
		d.dirs["."], d.dirs[dir] = true, true
		d.mu.Unlock()
		return d.patiently(func() error { return d.writeFile(root, name, nil) })
	}
	// The suffix is pg_receivewal's, whose leavings are overwritten.
	tmp := name + ".tmp"
	if err := d.patiently(func() error { return d.writeFile(root, tmp, content) }); err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	if !d.o.NoSync {
		if err := durable.SyncFileIn(root, tmp); err != nil {
			return d.fail(err)
		}
	}
	return d.rename(tmp, name)
}

// writeFile makes a file in place of one that is there. A link is replaced, not
// followed.
func (d *Directory) writeFile(root *os.Root, name string, content []byte) error {
	f, err := durable.Create(root, name, d.o.FileMode)
	if errors.Is(err, fs.ErrExist) {
		if err = root.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			f, err = durable.Create(root, name, d.o.FileMode)
		}
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(fmt.Errorf("could not write file %q: %w", f.Name(), err), f.Close())
	}
	return closeFile(f)
}

// Exists implements Sink.
func (d *Directory) Exists(name string) (bool, error) {
	root, err := d.root()
	if err != nil {
		return false, err
	}
	_, err = root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", filepath.Join(d.o.Path, name), err)
	}
	return true, nil
}
