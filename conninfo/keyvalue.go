package conninfo

import (
	"errors"
	"fmt"
)

// isSpace is C's isspace in the C locale.
func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

// parseKeywords reads "keyword = value" pairs. Values with spaces are in single
// quotes; a backslash takes the next byte literally, in quotes and outside.
func (s *Settings) parseKeywords(in string) error {
	previous := ""
	for i := 0; i < len(in); {
		if isSpace(in[i]) {
			i++
			continue
		}

		start := i
		for i < len(in) && in[i] != '=' && !isSpace(in[i]) {
			i++
		}
		name := in[start:i]
		for i < len(in) && isSpace(in[i]) {
			i++
		}
		if i == len(in) || in[i] != '=' {
			return fmt.Errorf("missing \"=\" after \"%s\" in connection info string", shownAfter(previous, name))
		}
		i++
		for i < len(in) && isSpace(in[i]) {
			i++
		}

		var value []byte
		if i < len(in) && in[i] == '\'' {
			i++
			for {
				if i == len(in) {
					return errors.New("unterminated quoted string in connection info string")
				}
				if in[i] == '\'' {
					i++
					break
				}
				if in[i] == '\\' {
					if i++; i == len(in) {
						continue
					}
				}
				value = append(value, in[i])
				i++
			}
		} else {
			for i < len(in) && !isSpace(in[i]) {
				if in[i] == '\\' {
					if i++; i == len(in) {
						break
					}
				}
				value = append(value, in[i])
				i++
			}
		}

		if !s.store(name, string(value)) {
			return fmt.Errorf("invalid connection option \"%s\"", shownAfter(previous, name))
		}
		previous = name
	}
	return nil
}
