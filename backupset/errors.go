package backupset

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// NotBackupError says that a path leads to something else than a backup.
type NotBackupError struct {
	Path  string
	Found string // what it is instead, to be read after "it is"
}

func (e *NotBackupError) Error() string {
	return fmt.Sprintf("%q is not a base backup: it is %s", e.Path, e.Found)
}

// IncompleteError says that a backup or a restored directory was never finished.
type IncompleteError struct {
	Path   string
	Marker string // the file that tells
	Reason string
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("backup %q is incomplete: it has the file %q, %s", e.Path, e.Marker, e.Reason)
}

// AmbiguousError says that two files claim the same part of a backup.
type AmbiguousError struct {
	Path          string
	First, Second string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("backup %q has both %q and %q: remove the one that does not belong to it", e.Path, e.First, e.Second)
}

// ArchiveError says that an archive cannot be read, and where it is damaged.
type ArchiveError struct {
	Path string
	Err  error
}

func (e *ArchiveError) Error() string {
	return fmt.Sprintf("could not read archive %q: %v", e.Path, e.Err)
}

// Unwrap returns the reason: a *tarstream.FormatError, an error of codec or of
// the operating system.
func (e *ArchiveError) Unwrap() error { return e.Err }

// IsDamage tells that what was read is wrong, not that it could not be read.
func (e *ArchiveError) IsDamage() bool {
	var path *fs.PathError
	var errno syscall.Errno
	return !errors.As(e.Err, &path) && !errors.As(e.Err, &errno)
}
