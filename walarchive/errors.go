package walarchive

import "fmt"

// A NameError says that a name is none that a server archives a file under.
type NameError struct{ Name string }

func (e *NameError) Error() string { return fmt.Sprintf("%q is not the name of a WAL file", e.Name) }

// An UnreachableError says that the archive itself is not there or cannot be
// looked into, so that nothing is known about what it has. It does not unwrap to
// Err: an archive that does not exist must not look like a file that it does not
// have.
type UnreachableError struct {
	Dir string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("could not access WAL archive %q: %v", e.Dir, e.Err)
}

// A CorruptError says that a file is not what its name says.
type CorruptError struct {
	Path   string
	Reason string
	// Short is set for a plain file that is right but ends too early: it may be
	// one that is being copied there by a program that does not take care.
	Short bool
	Err   error // what decompression found, or nil
}

func (e *CorruptError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("WAL file %q is corrupt: %s: %v", e.Path, e.Reason, e.Err)
	}
	return fmt.Sprintf("WAL file %q is corrupt: %s", e.Path, e.Reason)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// A ConflictError says that the archive has another file under the name of one
// that was to be put there. Both stay as they are.
type ConflictError struct {
	Path     string // what was to be archived
	Existing string // what is there
	Reason   string // in what they differ
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%q is archived already as %q with other content: %s", e.Path, e.Existing, e.Reason)
}
