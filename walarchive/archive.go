package walarchive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Archive is a directory of WAL files. Its methods may be called from any
// goroutine, and other processes may use the directory at the same time.
type Archive struct {
	dir string

	mu          sync.Mutex
	segmentSize int64 // 0 = not known yet
}

// Open looks whether there is a directory at dir. The error is an
// *UnreachableError.
func Open(dir string) (*Archive, error) {
	a := &Archive{dir: dir}
	if err := a.reach(); err != nil {
		return nil, err
	}
	return a, nil
}

// Dir is the directory that was opened.
func (a *Archive) Dir() string { return a.dir }

// reach tells whether the directory is there now: a file that is missed may be
// on a file system that is no longer mounted.
func (a *Archive) reach() error {
	f, err := os.Open(a.dir)
	if err != nil {
		return &UnreachableError{a.dir, reason(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return &UnreachableError{a.dir, reason(err)}
	}
	return nil
}

// reason leaves the path out of what the operating system says.
func reason(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// open opens a stored file. The error wraps fs.ErrNotExist when there is none.
func (a *Archive) open(s stored) (*os.File, fs.FileInfo, error) {
	path := filepath.Join(a.dir, s.name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if link, e := os.Lstat(path); e == nil && link.Mode().Type() == fs.ModeSymlink {
			return nil, nil, &CorruptError{Path: path, Reason: "it is a symbolic link that leads nowhere"}
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("could not access file %q: %w", path, reason(err))
	}
	// Looked at first, because opening a pipe would wait.
	if !info.Mode().IsRegular() {
		return nil, nil, &CorruptError{Path: path, Reason: "it is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("could not open file %q: %w", path, reason(err))
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("could not stat file %q: %w", path, reason(err))
	}
	return f, info, nil
}

// missing is the error for a name that nothing is stored under.
func (a *Archive) missing(n walName) error {
	if err := a.reach(); err != nil {
		return err
	}
	return fmt.Errorf("WAL file %q is not in %q: %w", n, a.dir, fs.ErrNotExist)
}

// SegmentSize is the size of the archive's segments in bytes, from the page
// header of one of them. The error wraps fs.ErrNotExist when there is none.
func (a *Archive) SegmentSize() (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.segmentSize != 0 {
		return a.segmentSize, nil
	}
	var failed error
	err := a.each(func(s stored) bool {
		if s.kind != segment && s.kind != partialSegment {
			return true
		}
		size, err := a.sizeByHeader(s)
		if err != nil {
			if !s.partial() && failed == nil {
				failed = err
			}
			return true
		}
		a.segmentSize = size
		return false
	})
	switch {
	case err != nil:
		return 0, err
	case a.segmentSize != 0:
		return a.segmentSize, nil
	case failed != nil:
		return 0, failed
	}
	return 0, fmt.Errorf("there is no WAL segment in %q: %w", a.dir, fs.ErrNotExist)
}

func (a *Archive) sizeByHeader(s stored) (int64, error) {
	c, err := a.content(s)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.header.segmentSize, nil
}

// each calls visit for the WAL files of the directory, in no order, until it
// returns false.
func (a *Archive) each(visit func(stored) bool) error {
	d, err := os.Open(a.dir)
	if err != nil {
		return &UnreachableError{a.dir, reason(err)}
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if s, ok := parseStored(name); ok && !visit(s) {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &UnreachableError{a.dir, reason(err)}
		}
	}
}
