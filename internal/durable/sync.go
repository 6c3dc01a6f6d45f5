package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
func SyncTree(root string, m SyncMethod) error {
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
	err := walk(root, func(path string, d fs.DirEntry) error {
		if d.Type().IsRegular() {
			g.Go(func() error { return SyncFile(path) })
		}
		return nil
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	// Directories last: their entries must not outlive the files' contents.
	return SyncDirs(root)
}

// SyncDirs makes the directories at and below root durable, of which every file
// already is.
func SyncDirs(root string) error {
	return walk(root, func(path string, d fs.DirEntry) error {
		if d.IsDir() {
			return SyncDir(path)
		}
		return nil
	})
}

// startTreeWriteback begins writing every file, so that the syncs that follow
// find the device busy with all of them and not with one at a time.
func startTreeWriteback(root string) error {
	if !hasWriteback {
		return nil
	}
	return walk(root, func(path string, d fs.DirEntry) error {
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		StartWriteback(f, 0, 0)
		return f.Close()
	})
}

func walk(root string, visit func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return visit(path, d)
	})
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
	err = f.Sync()
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("could not fsync file %q: %w", path, err)
	}
	return nil
}

// Create makes a new file with exactly this mode, whatever the umask is.
func Create(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", path, err)
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(fmt.Errorf("could not set permissions on file %q: %w", path, err), f.Close())
	}
	return f, nil
}

// SyncDir makes the entries of the directory at path durable. Windows has no
// such call and needs none for NTFS.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
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

// Rename gives the file at oldpath its final name: contents first, then the
// name, then the directory that holds both. When the directory cannot be synced
// the file has its old name again: under the final one others would take it for
// durable once a later sync succeeded, perhaps for nothing.
func Rename(oldpath, newpath string) error {
	if err := SyncFile(oldpath); err != nil {
		return err
	}
	if err := os.Rename(oldpath, newpath); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", oldpath, newpath, err)
	}
	err := SyncDir(filepath.Dir(newpath))
	if err != nil {
		err = errors.Join(err, os.Rename(newpath, oldpath))
	}
	return err
}
