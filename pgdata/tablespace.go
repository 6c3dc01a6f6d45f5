package pgdata

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// ParseTablespaceMap reads a tablespace_map: lines of an OID, one space and the location. A backslash comes before newlines and
// carriage returns of the location, and from 14 on before backslashes. Up to 13 backslashes stand for themselves; a file in which
// one comes before any other character is read so.
func ParseTablespaceMap(b []byte) ([]TablespaceLink, error) {
	escapes := "\n\r\\"
	if !allEscape(b, escapes) {
		escapes = "\n\r"
	}
	var links []TablespaceLink
	seen := map[uint32]bool{}
	var line []byte
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '\\' && i+1 < len(b) && strings.IndexByte(escapes, b[i+1]) >= 0:
			i++
			line = append(line, b[i])
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
	if len(line) > 0 {
		return nil, errors.New("tablespace_map: the last line has no end")
	}
	return links, nil
}

// allEscape reports whether each backslash comes before one of the characters, which may be a backslash itself.
func allEscape(b []byte, chars string) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		i++
		if i == len(b) || strings.IndexByte(chars, b[i]) < 0 {
			return false
		}
	}
	return true
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

// FormatTablespaceMap returns the tablespace_map with these links as a server of 14 or newer reads it.
func FormatTablespaceMap(links []TablespaceLink) []byte {
	return doubledBackslash.FormatTablespaceMap(links)
}

// The first version that escapes backslashes.
const doubledBackslash Version = 140000

// FormatTablespaceMap returns the tablespace_map with these links as a server of this version reads it. Up to 13 a location
// cannot end in a backslash, which would escape the end of the line.
func (v Version) FormatTablespaceMap(links []TablespaceLink) []byte {
	var b []byte
	for _, link := range links {
		b = strconv.AppendUint(b, uint64(link.OID), 10)
		b = append(b, ' ')
		for _, c := range []byte(link.Location) {
			if c == '\n' || c == '\r' || c == '\\' && v >= doubledBackslash {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '\n')
	}
	return b
}
