package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// SyncMethod says how a whole tree is made durable (--sync-method and
// --no-sync of PostgreSQL's tools).
type SyncMethod int

const (
	Fsync  SyncMethod = iota // every file and directory by itself
	Syncfs                   // the file systems that hold them, whole; Linux only
	NoSync                   // leave it to the operating system: not durable
)

// syncers is how many files SyncTree has in flight. Most of an fsync is
// waiting for the device, and file systems commit concurrent ones together.
const syncers = 8

// SyncTree makes every file and directory at and below root durable. Symbolic
// links are not followed: what they lead to is for the caller to name.
func SyncTree(root *os.Root, m SyncMethod) error {
	switch m {
	case NoSync:
		return nil
	case Syncfs:
		return syncfs(root)
	}
	if err := startTreeWriteback(root); err != nil {
		return err
	}
	g := new(errgroup.Group)
	g.SetLimit(syncers)
	err := walk(root, func(dir *os.Root, e fs.DirEntry) error {
		if !e.Type().IsRegular() {
			return nil
		}
		f, err := openToSync(dir, e.Name())
		if err == nil {
			g.Go(func() error { return syncAndClose(f) })
		}
		return err
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	// Directories last: their entries must not outlive the files' contents.
	return SyncDirs(root)
}

// SyncDirs makes the directories at and below root durable, of which every file
// already is.
func SyncDirs(root *os.Root) error {
	if err := SyncDirIn(root, "."); err != nil {
		return err
	}
	return walk(root, func(dir *os.Root, e fs.DirEntry) error {
		if e.IsDir() {
			return SyncDirIn(dir, e.Name())
		}
		return nil
	})
}

// startTreeWriteback begins writing every file, so that the syncs that follow
// find the device busy with all of them and not with one at a time.
func startTreeWriteback(root *os.Root) error {
	if !hasWriteback {
		return nil
	}
	return walk(root, func(dir *os.Root, e fs.DirEntry) error {
		if !e.Type().IsRegular() {
			return nil
		}
		f, err := dir.OpenFile(e.Name(), os.O_RDONLY|NoWait, 0)
		if err != nil {
			return fmt.Errorf("could not open file %q: %w", filepath.Join(dir.Name(), e.Name()), err)
		}
		StartWriteback(f, 0, 0)
		return f.Close()
	})
}

// walk visits all entries below root. Each directory is opened from the one that
// holds it, so that one which is swapped for a link meanwhile leads nowhere else.
func walk(root *os.Root, visit func(dir *os.Root, e fs.DirEntry) error) error {
	d, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", root.Name(), err)
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(atOnce)
		for _, e := range entries {
			if err := visitEntry(root, e, visit); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("could not read directory %q: %w", root.Name(), err)
		}
	}
}

// atOnce is how many entries of a directory are in memory: a database can have
// very many files.
const atOnce = 1000

func visitEntry(root *os.Root, e fs.DirEntry, visit func(dir *os.Root, e fs.DirEntry) error) error {
	if err := visit(root, e); err != nil || !e.IsDir() {
		return err
	}
	below, err := root.OpenRoot(e.Name())
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", filepath.Join(root.Name(), e.Name()), err)
	}
	return errors.Join(walk(below, visit), below.Close())
}

// SyncFile makes the contents of the file at path durable.
func SyncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = os.Open(path)
	}
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, err)
	}
	return syncAndClose(f)
}

// SyncFileIn is SyncFile for a file below root.
func SyncFileIn(root *os.Root, name string) error {
	f, err := openToSync(root, name)
	if err != nil {
		return err
	}
	return syncAndClose(f)
}

func openToSync(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|NoWait, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = root.OpenFile(name, os.O_RDONLY|NoWait, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", filepath.Join(root.Name(), name), err)
	}
	return f, nil
}

func syncAndClose(f *os.File) error {
	err := f.Sync()
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("could not fsync file %q: %w", f.Name(), err)
	}
	return nil
}

// SyncDir makes the entries of the directory at path durable. Windows has no
// such call and needs none for NTFS.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	return syncDir(f, path, err)
}

// SyncDirIn is SyncDir for a directory below root; "." is root itself.
func SyncDirIn(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := root.Open(name)
	return syncDir(f, filepath.Join(root.Name(), name), err)
}

// syncDir syncs and closes a directory that was opened, or not.
func syncDir(f *os.File, path string, err error) error {
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", path, err)
	}
	err = f.Sync()
	if unsupportedForDirectories(err) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("could not fsync directory %q: %w", path, err)
	}
	return nil
}

// Rename gives a file below root its final name: contents first, then the name,
// then the directory that holds both. When the directory cannot be synced the file
// has its old name again: under the final one others would take it for durable
// once a later sync succeeded, perhaps for nothing.
func Rename(root *os.Root, oldname, newname string) error {
	if err := SyncFileIn(root, oldname); err != nil {
		return err
	}
	if err := root.Rename(oldname, newname); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", filepath.Join(root.Name(), oldname), filepath.Join(root.Name(), newname), reason(err))
	}
	if err := SyncDirIn(root, path.Dir(newname)); err != nil {
		return errors.Join(err, root.Rename(newname, oldname))
	}
	return nil
}

// reason leaves out the names, which are relative to a directory that they do not
// tell.
func reason(err error) error {
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
