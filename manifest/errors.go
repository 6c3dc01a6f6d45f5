package manifest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FormatError says what is wrong with a manifest, in PostgreSQL's words
// (src/common/parse_manifest.c, src/common/jsonapi.c). It unwraps to
// io.ErrUnexpectedEOF when the manifest was cut off.
type FormatError struct {
	Msg string // PostgreSQL's message, whole
	// Where: Line counts from 1, Offset in bytes from 0. Line is 0 where the
	// error is about the manifest as a whole.
	Line, Offset int64

	cause error
}

func (e *FormatError) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("%s (line %d, byte %d)", e.Msg, e.Line, e.Offset)
}

func (e *FormatError) Unwrap() error { return e.cause }

// place is where in the manifest something stands.
type place struct{ line, offset int64 }

// errorAt makes an error of a message that PostgreSQL shows as it is.
func (p place) errorAt(format string, args ...any) *FormatError {
	return &FormatError{Msg: fmt.Sprintf(format, args...), Line: p.line, Offset: p.offset}
}

// parseErrorAt makes an error of a message that PostgreSQL puts behind this
// prefix.
func (p place) parseErrorAt(format string, args ...any) *FormatError {
	return p.errorAt("could not parse backup manifest: "+format, args...)
}

// maxShown limits how many bytes of the manifest an error message repeats at once.
const maxShown = 256

// printable is s for a message: what could do things to the user's terminal
// becomes visible, and what is very long is cut.
func printable[T string | []byte](s T) string {
	more := ""
	if len(s) > maxShown {
		end := maxShown
		for end > maxShown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s, more = s[:end], "..."
	}
	var b strings.Builder
	for text := string(s); text != ""; {
		r, n := utf8.DecodeRuneInString(text)
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(text[:n])
		} else {
			for _, c := range []byte(text[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		text = text[n:]
	}
	return b.String() + more
}
