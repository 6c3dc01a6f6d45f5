//go:build unix && !linux

package walarchive

import (
	"errors"
	"os"
)

// renameNew is left to links.
func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
