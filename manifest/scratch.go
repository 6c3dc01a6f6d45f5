package manifest

import (
	"errors"
	"fmt"
	"os"
)

// scratch is a temporary file that is written by appending and read at any
// offset. It comes into being with the first byte.
type scratch struct {
	dir  string
	file *os.File
	name string // to be removed at close, where an open file cannot be
	size int64
}

// write appends p and returns where it begins.
func (s *scratch) write(p []byte) (offset int64, err error) {
	if s.file == nil {
		if err := s.create(); err != nil {
			return 0, err
		}
	}
	offset = s.size
	if _, err := s.file.WriteAt(p, offset); err != nil {
		return 0, fmt.Errorf("could not write to temporary file: %w", err)
	}
	s.size += int64(len(p))
	return offset, nil
}

func (s *scratch) create() error {
	if s.dir == "" {
		// os.CreateTemp would ask the environment for one.
		return errors.New("no directory for a temporary file was given")
	}
	f, err := os.CreateTemp(s.dir, "pgbasin-ledger-*.tmp")
	if err != nil {
		return fmt.Errorf("could not create temporary file: %w", err)
	}
	s.file = f
	// Without a name it cannot stay behind, whatever happens to the process.
	// Windows refuses this.
	if err := os.Remove(f.Name()); err != nil {
		s.name = f.Name()
	}
	return nil
}

func (s *scratch) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.name != "" {
		err = errors.Join(err, os.Remove(s.name))
	}
	s.file, s.name = nil, ""
	return err
}
