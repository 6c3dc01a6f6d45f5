package manifest

import (
	"fmt"

	"github.com/pgbasin/pgbasin/internal/tempfile"
)

// scratch is a temporary file that is written by appending and read at any
// offset. It comes into being with the first byte.
type scratch struct {
	dir  string
	file *tempfile.File
	size int64
}

// write appends p and returns where it begins.
func (s *scratch) write(p []byte) (offset int64, err error) {
	if s.file == nil {
		if s.file, err = tempfile.Create(s.dir, "pgbasin-ledger-*.tmp"); err != nil {
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

func (s *scratch) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
