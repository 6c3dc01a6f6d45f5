package chain

import (
	"errors"
	"fmt"

	"github.com/pgbasin/pgbasin/incremental"
)

// MissingError says that an incremental file has nothing to build on.
type MissingError struct {
	File   string // in the result, relative to the data directory
	Backup string // path of the backup that should have something of it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no full version of file %q was found in the chain: backup %q has nothing of it", e.File, e.Backup)
}

func missingError(b *backup, target string) error { return &MissingError{target, b.path} }

// fullError is about an incremental file where there can be none.
func fullError(b *backup, name string) error {
	return fmt.Errorf("backup at %q is a full backup, but has the incremental file %q", b.path, name)
}

func bothError(b *backup, target string) error {
	return fmt.Errorf("backup at %q has both %q and %q", b.path, target, incremental.Name(target))
}

func twiceError(b *backup, name string) error {
	return fmt.Errorf("backup at %q has file %q twice", b.path, name)
}

// inBackup says in which backup an incremental file is damaged.
func inBackup(b *backup, err error) error {
	var format *incremental.FormatError
	if errors.As(err, &format) {
		return fmt.Errorf("backup at %q: %w", b.path, err)
	}
	return err
}
