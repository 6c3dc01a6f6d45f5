package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// writeFile makes a file with exactly this mode, and durable if it is to be.
func (r *run) writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("could not create file %q: %w", path, err)
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(fmt.Errorf("could not set permissions on file %q: %w", path, err), f.Close())
	}
	_, err = f.Write(content)
	if err == nil && r.syncsFiles() {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("could not write to file %q: %w", path, err)
	}
	return nil
}
