package pgdata

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a major version as PQserverVersion counts, with 0 for the minor release: 90600 for 9.6, 150000 for 15.
// The zero value means that the version is not known.
type Version int

// ParseVersion reads the contents of a PG_VERSION file, such as "15\n" or "9.6\n".
func ParseVersion(content []byte) (Version, error) {
	text := strings.TrimRight(string(content[:min(len(content), maxVersionFile)]), " \t\r\n")
	major, minor, two := strings.Cut(text, ".")
	first, err := decimal(major)
	if err == nil && two != (first < 10) {
		err = errors.New("two numbers up to 9.6 and one from 10 on")
	}
	second := 0
	if err == nil && two {
		second, err = decimal(minor)
	}
	if err != nil || len(content) > maxVersionFile {
		return 0, fmt.Errorf("PG_VERSION holds %q, which is not a version of PostgreSQL", text)
	}
	return Version(first*10000 + second*100), nil
}

// The server writes at most 4 bytes; what is longer is another file.
const maxVersionFile = 64

// decimal reads a number of one or two digits that does not begin with a zero, unless it is one.
func decimal(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > 99 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("not a number")
	}
	return int(n), nil
}

// Major is the version as PG_VERSION and the names of directories spell it: "9.6", "15". Minor releases are ignored.
func (v Version) Major() string {
	if v < 100000 {
		return fmt.Sprintf("%d.%d", v/10000, v/100%100)
	}
	return strconv.Itoa(int(v / 10000))
}

// String is Major, or "unknown" for 0.
func (v Version) String() string {
	if v == 0 {
		return "unknown"
	}
	return v.Major()
}

// WALDir is the name of the directory of WAL files in the data directory: pg_wal, or pg_xlog before 10.
func (v Version) WALDir() string {
	if v < 100000 {
		return "pg_xlog"
	}
	return "pg_wal"
}
