package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
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
// A partial segment is also as good as missing when there is a file of the
// segment's name beside to that has all of it, and maybe more: a backup's own WAL,
// of a time when the archive was behind. The server looks there when the archive
// has nothing, but takes the end of what the archive has for the end of all WAL.
//
// Nothing is synced: the server reads the file at once, syncs what it keeps
// (KeepFileRestoredFromArchive in its xlogarchive.c), and asks again after a
// crash.
func (a *Archive) Fetch(ctx context.Context, name, to string) error {
	n, ok := parseName(name)
	if !ok {
		return &NameError{name}
	}
	dir, err := durable.OpenRoot(filepath.Dir(to))
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
	if c.partial() && n.kind == segment && filepath.Base(to) != name {
		has, err := a.beside(ctx, dir, name, c.stored)
		if err != nil {
			return err
		}
		if has {
			return fmt.Errorf("%q has no more of WAL file %q than is in %q: %w", a.dir, name, dir.Name(), fs.ErrNotExist)
		}
	}
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

// beside tells whether the file of that name in dir begins with all that a partial
// segment has. Files that a server keeps for reuse have the names of later segments
// and other content.
func (a *Archive) beside(ctx context.Context, dir *os.Root, name string, s stored) (bool, error) {
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil
	}
	f, err := dir.Open(name)
	if err != nil {
		return false, nil
	}
	defer f.Close()
	c, err := a.content(s)
	if err != nil {
		return false, err
	}
	defer c.Close()
	there, local := make([]byte, copySize), make([]byte, copySize)
	for {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		n, err := io.ReadFull(c, there)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, err
		}
		m, _ := io.ReadFull(f, local[:n])
		// Behind the first difference nothing may have been received.
		if same := commonPrefix(there[:n], local[:m]); same < n {
			return restBlank(there[same:n], c)
		}
		if n < len(there) {
			return true, nil
		}
	}
}

// restBlank tells whether b, and all that is still to be read, are zeroes.
func restBlank(b []byte, r io.Reader) (bool, error) {
	buf := make([]byte, copySize)
	for blank(b) {
		n, err := r.Read(buf)
		b = buf[:n]
		if n == 0 && err == io.EOF {
			return true, nil
		}
		if err != nil && err != io.EOF {
			return false, err
		}
	}
	return false, nil
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
