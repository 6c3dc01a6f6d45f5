package claim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
)

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
	info, err := os.Lstat(path)
	if err != nil || runtime.GOOS == "windows" || info.IsDir() && info.Mode().Perm() == mode {
		return err
	}
	// By the directory above: who may write there and has put a link in place of
	// what was just made must not have the mode of something else changed.
	parent, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return setMode(parent, filepath.Base(path), mode)
}

// setMode gives a directory that is one itself, and no link to one, its mode.
func setMode(parent *os.Root, name string, mode fs.FileMode) error {
	info, err := parent.Lstat(name)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "chmod", Path: name, Err: errors.New("is not a directory")}
	}
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm() == mode {
		return err
	}
	return parent.Chmod(name, mode)
}

// MakeBelow makes a directory below root, named with slashes, and what is missing
// above it, each with exactly this mode. Those that are there stay as they are;
// a link is not one of them.
func MakeBelow(root *os.Root, name string, mode fs.FileMode) error {
	if above := path.Dir(name); above != "." {
		if err := MakeBelow(root, above, mode); err != nil {
			return err
		}
	}
	err := root.Mkdir(name, mode)
	var info fs.FileInfo
	switch {
	case err == nil:
		err = setMode(root, name, mode)
	case errors.Is(err, fs.ErrExist):
		if info, err = root.Lstat(name); err == nil && !info.IsDir() {
			err = errors.New("what is there is not a directory")
		}
	}
	if err != nil {
		return fmt.Errorf("could not create directory %q: %w", filepath.Join(root.Name(), name), err)
	}
	return nil
}
