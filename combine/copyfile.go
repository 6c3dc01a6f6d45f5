package combine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// copyFile makes the file name in dir, which must not exist, the same file as src,
// or one with the same content. The messages are pg_combinebackup's (copy_file.c).
func copyFile(m Method, src string, dir *os.Root, name string, mode fs.FileMode) error {
	dst := filepath.Join(dir.Name(), name)
	if m == Link {
		if err := link(src, dir, name); err != nil {
			return fmt.Errorf("error while linking file from \"%s\" to \"%s\": %w", src, dst, cause(err))
		}
		return nil
	}
	in, err := os.Open(src)
	if err != nil {
		return fmt.Errorf("could not open file \"%s\": %w", src, cause(err))
	}
	defer in.Close()
	out, err := durable.Create(dir, name, mode)
	if err != nil {
		return err
	}
	if m == Clone {
		if err = clone(out, in); err != nil {
			err = fmt.Errorf("error while cloning file \"%s\" to \"%s\": %w", src, dst, cause(err))
		}
	} else if err = copyRange(out, in); err != nil {
		err = fmt.Errorf("error while copying file range from \"%s\" to \"%s\": %w", src, dst, cause(err))
	}
	if closeErr := out.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("could not close file \"%s\": %w", dst, cause(closeErr))
	}
	return err
}

// cause is the system's part of an error whose paths are told already.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
