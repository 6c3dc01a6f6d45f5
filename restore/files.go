package restore

import (
	"fmt"
	"io/fs"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// writeFile makes a file in the data directory with exactly this mode, and durable
// if it is to be.
func (r *run) writeFile(name string, content []byte, mode fs.FileMode) error {
	f, err := durable.Create(r.root(), name, mode)
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
		return fmt.Errorf("could not write to file %q: %w", f.Name(), err)
	}
	return nil
}
