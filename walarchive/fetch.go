package walarchive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/codec"
)

// fetchInfix comes between a path and a number in the names of files that are
// being fetched.
const fetchInfix = ".pgbasin-fetch."

// A PathError says that a file cannot be put at a path. It does not unwrap to Err,
// which may be that a directory does not exist.
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string {
	return fmt.Sprintf("could not put a file at %q: %v", e.Path, e.Err)
}

// Fetch puts the file of that name at the path to, decompressed, whole or not at
// all; it replaces a regular file that is there. A segment of which the archive
// has but a partial one is filled up with zeroes to its size. The error wraps
// fs.ErrNotExist when the archive does not have the file; it is a *CorruptError
// when what it has is not right, an *UnreachableError, *NameError or *PathError.
//
// Nothing is synced: the server reads the file at once, syncs what it keeps
// (KeepFileRestoredFromArchive in its xlogarchive.c), and asks again after a
// crash.
func (a *Archive) Fetch(ctx context.Context, name, to string) error {
	n, ok := parseName(name)
	if !ok {
		return &NameError{name}
	}
	dir, err := os.OpenRoot(filepath.Dir(to))
	if err != nil {
		return &PathError{to, reason(err)}
	}
	defer dir.Close()
	info, err := dir.Lstat(filepath.Base(to))
	if err == nil && !info.Mode().IsRegular() {
		return &PathError{to, errors.New("what is there is not a regular file")}
	}
	c, err := a.find(n)
	if err != nil {
		return err
	}
	defer c.Close()
	t, err := newTemp(dir, filepath.Base(to)+fetchInfix, modeFor(dir))
	if err != nil {
		return &PathError{to, err}
	}
	defer t.discard()
	if err := c.copyTo(ctx, t); err != nil {
		return err
	}
	if err := t.replace(filepath.Base(to)); err != nil {
		return &PathError{to, err}
	}
	return nil
}

// copyTo writes all of it, and what is missing of a partial segment.
func (c *content) copyTo(ctx context.Context, t *temp) error {
	var err error
	if c.algorithm == codec.None && c.kind == segment {
		c.n, err = copyFile(ctx, t.File, c.f)
		if err == nil && c.n != c.header.segmentSize {
			return c.wrongSize(c.n, c.header.segmentSize)
		}
	} else {
		_, err = copyAll(ctx, t.File, c)
	}
	if err == nil && c.kind == partialSegment {
		err = t.Truncate(c.header.segmentSize)
	}
	var corrupt *CorruptError
	if err == nil || ctx.Err() != nil || errors.As(err, &corrupt) {
		return err
	}
	return fmt.Errorf("could not copy file %q to %q: %w", c.raw.f.Name(), t.path, reason(err))
}
