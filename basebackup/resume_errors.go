package basebackup

import (
	"fmt"
)

// ResumeError says why a backup that was broken off cannot be gone on with. What there
// is of it is left as it was.
type ResumeError struct {
	Path   string // the data directory
	Reason string // a clause
	Err    error  // the server's refusal, if that is the reason
}

func (e *ResumeError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("cannot resume the backup in %q, a fresh one is needed: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot resume the backup in %q, a fresh one is needed: %s", e.Path, e.Reason)
}

func (e *ResumeError) Unwrap() error { return e.Err }

// ResumableError says that a backup failed and that Options.Resume can go on with it.
type ResumableError struct {
	Path  string // the data directory
	Files int    // how many have arrived whole that can be sent as changed blocks
	Bytes int64  // their size
	Err   error  // what ended the backup
}

func (e *ResumableError) Error() string { return e.Err.Error() }

func (e *ResumableError) Unwrap() error { return e.Err }

// LeftoverError says that a directory which a backup should fill holds one that was
// broken off, with which Options.Resume may go on.
type LeftoverError struct{ *NotEmptyError }

func (e *LeftoverError) Unwrap() error { return e.NotEmptyError }

func (k *keeper) refuse(format string, args ...any) error {
	return &ResumeError{Path: k.directory.o.Path, Reason: fmt.Sprintf(format, args...)}
}
