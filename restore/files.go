package restore

import (
	"fmt"
	"io/fs"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// writeFile makes a file with exactly this mode, and durable if it is to be.
func (r *run) writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := durable.Create(path, mode)
	if err != nil {
		return err
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
