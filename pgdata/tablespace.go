package pgdata

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// TablespaceMapFile is the name of the file in the data directory of a backup that says where its tablespaces are. A server that
// finds it beside backup_label makes the links in pg_tblspc from it and replaces those that are there.
const TablespaceMapFile = "tablespace_map"

// TablespaceLink is a tablespace outside the data directory.
type TablespaceLink struct {
	OID      uint32
	Location string
}

// The server reads locations into a buffer of MAXPGPATH bytes and cuts off what is longer.
const maxLocation = 1023

// ParseTablespaceMap reads a tablespace_map: lines of an OID, one space and the location, in which a backslash comes before
// every newline, carriage return and backslash.
func ParseTablespaceMap(b []byte) ([]TablespaceLink, error) {
	var links []TablespaceLink
	seen := map[uint32]bool{}
	var line []byte
	escaped := false
	for _, c := range b {
		switch {
		case escaped:
			line = append(line, c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == '\n' || c == '\r':
			if len(line) == 0 {
				continue // between CR and LF
			}
			link, err := tablespaceLink(line)
			if err == nil && seen[link.OID] {
				err = fmt.Errorf("tablespace %d is there twice", link.OID)
			}
			if err != nil {
				return nil, fmt.Errorf("tablespace_map: %w", err)
			}
			seen[link.OID] = true
			links = append(links, link)
			line = line[:0]
		default:
			line = append(line, c)
		}
	}
	if len(line) > 0 || escaped {
		return nil, errors.New("tablespace_map: the last line has no end")
	}
	return links, nil
}

func tablespaceLink(line []byte) (TablespaceLink, error) {
	number, location, _ := bytes.Cut(line, []byte(" "))
	oid, err := strconv.ParseUint(string(number), 10, 32)
	switch {
	case err != nil || oid == 0:
		return TablespaceLink{}, fmt.Errorf("%.60q does not begin with an OID", line)
	case len(location) == 0:
		return TablespaceLink{}, fmt.Errorf("tablespace %d has no location", oid)
	case len(location) > maxLocation || bytes.IndexByte(location, 0) >= 0:
		return TablespaceLink{}, fmt.Errorf("the location of tablespace %d is not a path", oid)
	}
	return TablespaceLink{uint32(oid), string(location)}, nil
}

// FormatTablespaceMap is the reverse of ParseTablespaceMap.
func FormatTablespaceMap(links []TablespaceLink) []byte {
	var b []byte
	for _, link := range links {
		b = strconv.AppendUint(b, uint64(link.OID), 10)
		b = append(b, ' ')
		for _, c := range []byte(link.Location) {
			if c == '\n' || c == '\r' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '\n')
	}
	return b
}
