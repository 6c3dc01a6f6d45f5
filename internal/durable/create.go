package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Create makes a new file below root, with exactly this mode, whatever the umask
// is.
func Create(root *os.Root, name string, mode fs.FileMode) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|NoWait, mode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", filepath.Join(root.Name(), name), err)
	}
	if err := setMode(f, mode); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func setMode(f *os.File, mode fs.FileMode) error {
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("could not set permissions on file %q: %w", f.Name(), err)
	}
	return nil
}

// CreateTemp makes a new file below root that only its owner can read and write,
// with a name that nobody can foresee after the prefix, which may begin with a
// directory. The caller removes it.
func CreateTemp(root *os.Root, prefix string) (*os.File, string, error) {
	name := prefix + rand.Text()
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("could not create temporary file %q: %w", filepath.Join(root.Name(), name), err)
	}
	return f, name, nil
}

// A NotRegularError says that a name is not that of a regular file, and may lead
// elsewhere.
type NotRegularError struct {
	Path string
	Mode fs.FileMode
}

func (e *NotRegularError) Error() string {
	kind := "neither a regular file nor a symbolic link"
	switch {
	case e.Mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case e.Mode.IsDir():
		kind = "a directory"
	}
	return fmt.Sprintf("could not open file %q: it is %s", e.Path, kind)
}

// OpenOrCreate opens a regular file below root for writing or makes it, with
// exactly this mode, whatever the umask is. What else has the name is neither
// followed nor waited for: the error is a *NotRegularError.
func OpenOrCreate(root *os.Root, name string, mode fs.FileMode) (*os.File, error) {
	for range 100 {
		f, err := Create(root, name, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		f, err = OpenWrite(root, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("could not open file %q: it comes and goes", filepath.Join(root.Name(), name))
}

// OpenWrite is OpenOrCreate for a file that must be there.
func OpenWrite(root *os.Root, name string) (*os.File, error) {
	path := filepath.Join(root.Name(), name)
	named, err := root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", path, err)
	}
	if !named.Mode().IsRegular() {
		return nil, &NotRegularError{path, named.Mode()}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|NoWait, 0)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", path, err)
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(named, opened) {
		err = errors.New("it was replaced while it was opened")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("could not open file %q: %w", path, err), f.Close())
	}
	return f, nil
}

// OpenRead opens the regular file that a path leads to, also by a link. What else
// is there is not waited for: the error is a *NotRegularError.
func OpenRead(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &NotRegularError{path, info.Mode()}
	}
	return os.OpenFile(path, os.O_RDONLY|NoWait, 0)
}

// OpenRoot is os.OpenRoot, with the system's own error for what is no directory.
func OpenRoot(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		if info, statErr := os.Stat(path); statErr == nil && !info.IsDir() {
			err = &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
		}
	}
	return root, err
}
