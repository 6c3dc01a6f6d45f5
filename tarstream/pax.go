package tarstream

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var errPaxRecord = errors.New("malformed record in a pax header")

// paxRecords reads the records of a pax header: "25 mtime=1350244992.023\n",
// with the length of the record in front (POSIX, pax, "pax Header Block").
func (l *lenient) paxRecords(b []byte) error {
	for len(b) > 0 {
		digits, _, ok := bytes.Cut(b[:min(len(b), 8)], []byte{' '})
		if !ok {
			return errPaxRecord
		}
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if err != nil || n > uint64(len(b)) || int(n) < len(digits)+2 || b[n-1] != '\n' {
			return errPaxRecord
		}
		key, value, ok := bytes.Cut(b[len(digits)+1:n-1], []byte{'='})
		if !ok || len(key) == 0 {
			return errPaxRecord
		}
		if err := l.paxRecord(string(key), value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// paxRecord takes one record. Later ones win; an empty value takes back what
// was said before.
func (l *lenient) paxRecord(key string, value []byte) error {
	x, global := &l.next, l.kind == 'g'
	switch {
	case strings.HasPrefix(key, "GNU.sparse."):
		return fmt.Errorf("sparse files are not supported (%s)", quote(key))
	case global && (key == "path" || key == "linkpath" || key == "size"):
		// One name or size for all members makes no archive that can be meant.
		return fmt.Errorf("global pax header sets %s for all members", key)
	case key == "path":
		return paxName(&x.paxName, key, value)
	case key == "linkpath":
		return paxName(&x.paxLink, key, value)
	case key == "size":
		if x.hasSize = len(value) > 0; !x.hasSize {
			return nil
		}
		// ParseUint takes no sign and no spaces.
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil {
			return fmt.Errorf("pax header: size is not a number of bytes: %s", quote(string(value)))
		}
		x.size = int64(n)
	case key == "mtime":
		t, err := paxTime(string(value))
		if err != nil {
			return err
		}
		if global {
			l.globalTime = t
		} else {
			x.modTime = t
		}
	}
	return nil
}

func paxName(dst *string, key string, value []byte) error {
	switch {
	case len(value) > maxName:
		return fmt.Errorf("pax header: %s of %d bytes is too long", key, len(value))
	case bytes.IndexByte(value, 0) >= 0:
		return &NameError{Name: string(value)}
	}
	*dst = string(value)
	return nil
}

// paxTime reads seconds with a fraction, which is dropped: 1350244992.023.
func paxTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, fmt.Errorf("pax header: modification time is not a number: %s", quote(s))
	}
	// Before 1970 the fraction leads away from zero.
	if strings.HasPrefix(s, "-") && strings.Trim(fraction, "0") != "" && n > math.MinInt64 {
		n--
	}
	return time.Unix(n, 0), nil
}
