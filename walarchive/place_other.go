//go:build unix && !linux

package walarchive

import "errors"

// renameNew is left to links.
func renameNew(from, to string) error { return errors.ErrUnsupported }
