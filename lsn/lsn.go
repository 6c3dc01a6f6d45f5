// Package lsn is PostgreSQL's write-ahead log position: a 64-bit byte offset
// into the log, written as two hexadecimal halves.
package lsn

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, in bytes from its beginning.
// The zero value means "not known": no record ever starts there
// (InvalidXLogRecPtr in the server's sources).
type LSN uint64

// Parse reads the server's text form, high and low 32 bits in hexadecimal with
// a slash between them, for example "16/B374D848".
func Parse(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	if ok {
		h, errHigh := strconv.ParseUint(high, 16, 32)
		l, errLow := strconv.ParseUint(low, 16, 32)
		// ParseUint takes a leading sign or underscore only with base 0, so
		// what is left to refuse here is what it refuses itself.
		if errHigh == nil && errLow == nil {
			return LSN(h<<32 | l), nil
		}
	}
	return 0, fmt.Errorf("could not parse write-ahead log location %q", s)
}

// String is the form that the server prints, "%X/%X".
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// MarshalText makes JSON show an LSN as the server prints it.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is Parse.
func (l *LSN) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err == nil {
		*l = v
	}
	return err
}
