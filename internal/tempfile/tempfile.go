// Package tempfile makes temporary files that no process leaves behind.
package tempfile

import (
	"errors"
	"fmt"
	"os"
)

// File is a temporary file without a name, where the system has such.
type File struct {
	*os.File
	name string // to be removed by Close, where an open file cannot be
}

// Create makes a File in dir, which must be named: os.CreateTemp would ask the
// environment for one. For a moment it has a name after pattern, as that function
// describes it. The caller closes it.
func Create(dir, pattern string) (*File, error) {
	if dir == "" {
		return nil, errors.New("no directory for a temporary file was given")
	}
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, fmt.Errorf("could not create temporary file: %w", err)
	}
	t := &File{File: f}
	// Without a name it cannot stay behind, whatever happens to the process.
	// Windows refuses this.
	if err := os.Remove(f.Name()); err != nil {
		t.name = f.Name()
	}
	return t, nil
}

// Close closes the file, which is gone then.
func (f *File) Close() error {
	err := f.File.Close()
	if f.name != "" {
		err = errors.Join(err, os.Remove(f.name))
	}
	return err
}
