// Package conninfo reads, merges and writes libpq connection parameters:
// connection strings and URIs, the environment, service files and password
// files. It opens no connection.
//
// The rules and the wording of errors are those of libpq 18 (fe-connect.c).
package conninfo

import (
	"errors"
	"fmt"
	"strings"
)

// Source says where the value of a setting comes from.
type Source int

// The sources in rising order of precedence.
const (
	Unset       Source = iota
	Default            // compiled into libpq, or derived, such as the user name
	Environment        // a PG* variable
	Service            // a connection service file
	Explicit           // a connection string, or Set
)

// Settings holds connection parameters by libpq keyword. The zero value is an
// empty set ready for use. A Settings may be copied; Set on one copy does not
// change another.
type Settings struct {
	values map[string]setting
}

type setting struct {
	text   string
	source Source
}

// Parse reads a connection string: a postgresql:// or postgres:// URI, or
// keyword = value pairs. The result holds only what s says, with nothing from
// the environment; see [Resolve].
func Parse(s string) (Settings, error) {
	var set Settings
	if strings.IndexByte(s, 0) >= 0 {
		return Settings{}, errors.New("forbidden NUL byte in connection info string")
	}
	var err error
	if n := uriPrefix(s); n > 0 {
		err = set.parseURI(s, n)
	} else {
		err = set.parseKeywords(s)
	}
	if err != nil {
		return Settings{}, err
	}
	return set, nil
}

// Set gives keyword an explicit value, as a command line option such as -h
// does. An empty value changes nothing, as in libpq's PQconnectdbParams.
func (s *Settings) Set(keyword, value string) error {
	if !Known(keyword) {
		return fmt.Errorf("invalid connection option \"%s\"", keyword)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("forbidden NUL byte in connection option \"%s\"", keyword)
	}
	if value != "" {
		s.put(keyword, value, Explicit)
	}
	return nil
}

func (s *Settings) put(keyword, value string, source Source) {
	values := make(map[string]setting, len(s.values)+1)
	for k, v := range s.values {
		values[k] = v
	}
	values[keyword] = setting{value, source}
	s.values = values
}

// Value returns the value of keyword, "" when it has none.
func (s Settings) Value(keyword string) string {
	return s.values[keyword].text
}

// Source returns where the value of keyword comes from.
func (s Settings) Source(keyword string) Source {
	return s.values[keyword].source
}

// Encode returns the settings as a keyword = value string which [Parse] reads
// back, in libpq's order. It contains secrets.
func (s Settings) Encode() string {
	return s.encode(false)
}

// String returns the settings for people to read, with secrets hidden.
func (s Settings) String() string {
	return s.encode(true)
}

func (s Settings) encode(hide bool) string {
	var b strings.Builder
	for _, k := range keywords {
		v, ok := s.values[k.name]
		if !ok {
			continue
		}
		if hide && k.secret && v.text != "" {
			v.text = hidden
		}
		appendPair(&b, k.name, v.text)
	}
	return b.String()
}

// appendPair adds keyword=value, after a space unless it is the first.
func appendPair(b *strings.Builder, keyword, value string) {
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(keyword)
	b.WriteByte('=')
	b.WriteString(Quote(value))
}

// Quote returns value as it is written after "keyword=" in a connection
// string: as it is when it consists of ASCII letters, digits, "_" and ".", and
// otherwise in single quotes with quotes and backslashes escaped by a
// backslash (appendConnStrVal in PostgreSQL's fe_utils/string_utils.c).
func Quote(value string) string {
	plain := value != ""
	for i := 0; i < len(value) && plain; i++ {
		c := value[i]
		plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
	}
	if plain {
		return value
	}
	var b strings.Builder
	b.Grow(len(value) + 2)
	b.WriteByte('\'')
	for i := range len(value) {
		if value[i] == '\'' || value[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(value[i])
	}
	b.WriteByte('\'')
	return b.String()
}

// store keeps one pair of a connection string. Like libpq it translates the
// old requiressl to sslmode. It reports whether the keyword exists.
func (s *Settings) store(keyword, value string) bool {
	if keyword == "requiressl" {
		keyword = "sslmode"
		if strings.HasPrefix(value, "1") {
			value = "require"
		} else {
			value = "prefer"
		}
	}
	if !Known(keyword) {
		return false
	}
	if s.values == nil {
		s.values = make(map[string]setting)
	}
	s.values[keyword] = setting{value, Explicit}
	return true
}
