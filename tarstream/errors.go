package tarstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// FormatError says that an archive is malformed or holds what it must not, and
// where. It wraps io.ErrUnexpectedEOF when the archive is cut off.
type FormatError struct {
	Offset int64  // of the block or byte at fault, from the beginning of the archive
	Name   string // the member it belongs to; empty if none or not known
	Err    error
}

func (e *FormatError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("tar archive, offset %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("tar archive, member %s, offset %d: %v", quote(e.Name), e.Offset, e.Err)
}

func (e *FormatError) Unwrap() error { return e.Err }

// NameError says that a member's name is empty, could lead outside the
// directory that an archive is extracted to, or is too long.
type NameError struct {
	Name   string
	Reason string // empty for a name that is empty or unsafe
}

func (e *NameError) Error() string {
	switch {
	case e.Reason != "":
		return "tar member " + quote(e.Name) + ": " + e.Reason
	case e.Name == "":
		return "tar member has empty name"
	}
	return "tar member has unsafe path name: " + quote(e.Name)
}

// LinkError says that a symbolic link is none that a data directory has.
type LinkError struct {
	Name, Target string
	Reason       string
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("symbolic link %s to %s: %s", quote(e.Name), quote(e.Target), e.Reason)
}

// FileError says what could not be done with a file. Err is the operating
// system's error.
type FileError struct {
	Action string // "could not create file"
	Path   string // in full
	Err    error
}

func (e *FileError) Error() string {
	return e.Action + " " + quote(e.Path) + ": " + message(e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// fileError drops the call and the relative path that package os adds.
func fileError(action, path string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	return &FileError{action, path, err}
}

// message is what strerror, and so PostgreSQL, prints: Go has the same texts
// for errno values, but for the capital.
func message(err error) string {
	s := err.Error()
	if _, ok := err.(syscall.Errno); ok && s != "" {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

// quoteMax is how much of a name is shown, in bytes.
const quoteMax = 1024

// quote puts a name in double quotes as PostgreSQL prints it, unless what is in
// it would confuse a terminal. Names may be much longer than anybody reads.
func quote(s string) string {
	if len(s) > quoteMax {
		return quote(strings.ToValidUTF8(s[:quoteMax/4], "")) + "..."
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return `"` + s + `"`
}
