package chain

import (
	"fmt"
	"io"
	"sync"

	"github.com/pgbasin/pgbasin/internal/tempfile"
)

// scratch is a temporary file that grows at its end and is read at any offset.
// It comes into being when there is more than fits into its buffer.
type scratch struct {
	dir string

	mu    sync.Mutex
	file  *tempfile.File
	size  int64
	tail  []byte // the last bytes, which are not in the file yet
	limit int    // of tail; 0 means scratchBuffer
}

const scratchBuffer = 1 << 20

// add appends p and returns where it begins.
func (s *scratch) add(p []byte) (offset int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset = s.size
	if len(s.tail)+len(p) > s.bufferSize() {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	s.tail = append(s.tail, p...)
	s.size += int64(len(p))
	return offset, nil
}

func (s *scratch) bufferSize() int {
	if s.limit > 0 {
		return s.limit
	}
	return scratchBuffer
}

// reserve makes room for n bytes, which WriteAt fills.
func (s *scratch) reserve(n int64) (offset int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(); err != nil {
		return 0, err
	}
	offset = s.size
	s.size += n
	return offset, nil
}

// writeAt writes into what was reserved.
func (s *scratch) writeAt(p []byte, offset int64) error {
	if _, err := s.file.WriteAt(p, offset); err != nil {
		return fmt.Errorf("could not write to temporary file: %w", err)
	}
	return nil
}

// ReadAt reads what was added or written.
func (s *scratch) ReadAt(p []byte, offset int64) (n int, err error) {
	s.mu.Lock()
	flushed := s.size - int64(len(s.tail))
	switch {
	case offset >= s.size:
		err = io.EOF
	case offset >= flushed:
		if n = copy(p, s.tail[offset-flushed:]); n < len(p) {
			err = io.EOF
		}
	case offset+int64(len(p)) > flushed && len(s.tail) > 0:
		err = s.flush()
		fallthrough
	default:
		s.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if n, err = s.file.ReadAt(p, offset); err != nil && err != io.EOF {
			err = fmt.Errorf("could not read temporary file: %w", err)
		}
		return n, err
	}
	s.mu.Unlock()
	return n, err
}

// flush brings the tail to the file, which it makes.
func (s *scratch) flush() error {
	if s.file == nil {
		f, err := tempfile.Create(s.dir, ".pgbasin-chain-*")
		if err != nil {
			return err
		}
		s.file = f
	}
	if len(s.tail) == 0 {
		return nil
	}
	if _, err := s.file.WriteAt(s.tail, s.size-int64(len(s.tail))); err != nil {
		return fmt.Errorf("could not write to temporary file: %w", err)
	}
	s.tail = s.tail[:0]
	return nil
}

func (s *scratch) close() error {
	s.tail, s.size = nil, 0
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
