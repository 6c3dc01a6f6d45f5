package prove

import (
	"strings"
)

// setting is one line of a configuration file.
type setting struct{ name, value string }

// parseConf reads the settings of a postgresql.conf in their order, names in
// lower case (guc-file.l). Lines that are none are passed over: the file is not
// obeyed, only asked for what it may say about a few names. Directives to
// include other files are settings by the names of include, include_if_exists
// and include_dir.
func parseConf(text string) []setting {
	var found []setting
	for line := range strings.Lines(text) {
		if s, ok := parseConfLine(strings.TrimRight(line, "\r\n")); ok {
			found = append(found, s)
		}
	}
	return found
}

const confBlanks = " \t"

func parseConfLine(line string) (setting, bool) {
	line = strings.TrimLeft(line, confBlanks)
	end := strings.IndexFunc(line, func(r rune) bool {
		return !(r == '_' || r == '.' || r == '$' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80)
	})
	if end <= 0 {
		return setting{}, false
	}
	s := setting{name: lower(line[:end])}
	rest := strings.TrimLeft(line[end:], confBlanks)
	rest, equals := strings.CutPrefix(rest, "=")
	if !equals && rest == line[end:] {
		return setting{}, false // nothing between name and value
	}
	rest = strings.TrimLeft(rest, confBlanks)
	if !strings.HasPrefix(rest, "'") {
		if i := strings.IndexAny(rest, confBlanks+"#"); i >= 0 {
			rest = rest[:i]
		}
		s.value = rest
		return s, rest != ""
	}
	value, ok := unquoteConf(rest[1:])
	s.value = value
	return s, ok
}

// lower turns A to Z into lower case, and nothing else: names are compared so.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// unquoteConf reads a quoted value up to its closing quote (GUC_scanstr).
func unquoteConf(text string) (value string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' && strings.HasPrefix(text[i+1:], "'"):
			b.WriteByte('\'')
			i++
		case c == '\'':
			return b.String(), true
		case c == '\\' && i+1 < len(text):
			i++
			n := unescapeConf(&b, text[i:])
			i += n - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// unescapeConf writes what an escape stands for, and returns how long it is
// without its backslash.
func unescapeConf(b *strings.Builder, text string) int {
	if i := strings.IndexByte("bfnrt", text[0]); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return 1
	}
	var octal byte
	n := 0
	for n < 3 && n < len(text) && text[n] >= '0' && text[n] <= '7' {
		octal = octal<<3 + text[n] - '0'
		n++
	}
	if n > 0 {
		b.WriteByte(octal)
		return n
	}
	b.WriteByte(text[0])
	return 1
}
