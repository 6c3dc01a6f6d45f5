package recoveryconf

import (
	"bytes"
	"regexp"
	"strings"
)

// recoveryParams are the parameters of 12 and newer that say how to recover, with their defaults. (promote_trigger_file is gone
// from 16 on.)
var recoveryParams = map[string]string{
	"restore_command":           "",
	"archive_cleanup_command":   "",
	"recovery_end_command":      "",
	"recovery_target":           "",
	"recovery_target_action":    "pause",
	"recovery_target_inclusive": "on",
	"recovery_target_lsn":       "",
	"recovery_target_name":      "",
	"recovery_target_time":      "",
	"recovery_target_timeline":  "latest",
	"recovery_target_xid":       "",
	"recovery_min_apply_delay":  "0",
	"primary_conninfo":          "",
	"primary_slot_name":         "",
	"promote_trigger_file":      "",
}

// StripRecovery drops the lines of recovery parameters from a postgresql.auto.conf, such as an earlier restore or a standby left
// there, and the comment that Files writes before them. Everything else stays as it is, byte for byte: comments, settings,
// include directives, and lines that the server would refuse.
func StripRecovery(autoConf []byte) []byte {
	out := make([]byte, 0, len(autoConf))
	for line := range bytes.Lines(autoConf) {
		name, ok := setting(line)
		if ok {
			_, ok = recoveryParams[name]
		}
		if ok || string(line) == recoveryComment {
			continue
		}
		out = append(out, line...)
	}
	return out
}

// ParamNames returns the recovery parameters that a configuration file sets, each once and in lower case, for
// Recovery.Override.
func ParamNames(conf []byte) []string {
	var names []string
	seen := map[string]bool{}
	for line := range bytes.Lines(conf) {
		name, ok := setting(line)
		if !ok || seen[name] {
			continue
		}
		if _, ok := recoveryParams[name]; ok {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// setting returns the folded name of the parameter that a line sets. A line is a name, an optional equal sign, a value and an
// optional comment (src/backend/utils/misc/guc-file.l); nothing in it can hold a newline, also no quoted string.
func setting(line []byte) (name string, ok bool) {
	s := &scanner{line}
	s.space()
	token := s.word()
	if !validName(token) {
		return "", false
	}
	s.space()
	if s.next('=') {
		s.rest = s.rest[1:]
		s.space()
	}
	if !s.value() {
		return "", false
	}
	s.space()
	if len(s.rest) > 0 && !s.next('\n') && !s.next('#') {
		return "", false
	}
	return fold(token), true
}

// scanner takes tokens from the rest of a line, always the longest that fits.
type scanner struct{ rest []byte }

func (s *scanner) next(c byte) bool { return len(s.rest) > 0 && s.rest[0] == c }

func (s *scanner) space() { s.rest = bytes.TrimLeft(s.rest, " \t\r") }

func (s *scanner) take(n int) string {
	token := string(s.rest[:n])
	s.rest = s.rest[n:]
	return token
}

// word takes a name or an unquoted string, or nothing.
func (s *scanner) word() string {
	n := 0
	if len(s.rest) > 0 && letter(s.rest[0]) {
		for n < len(s.rest) && unquoted(s.rest[n]) {
			n++
		}
	}
	return s.take(n)
}

// value takes a quoted string, a word or a number. A word with a dot that looks like an extension's parameter is no value.
func (s *scanner) value() bool {
	if s.next('\'') {
		return s.quoted()
	}
	if word := s.word(); word != "" {
		return !validName(word) || strings.IndexByte(word, '.') < 0
	}
	return s.take(len(number.Find(s.rest))) != ""
}

var number = regexp.MustCompilePOSIX(`^[+-]?(([0-9]+|0x[0-9a-fA-F]+)[a-zA-Z]*|[0-9]*[.][0-9]*([Ee][+-]?[0-9]+)?)`)

func (s *scanner) quoted() bool {
	for i := 1; i < len(s.rest) && s.rest[i] != '\n'; i++ {
		more := i+1 < len(s.rest) && s.rest[i+1] != '\n'
		switch {
		case s.rest[i] == '\\' && more:
			i++
		case s.rest[i] == '\\':
			return false
		case s.rest[i] == '\'' && more && s.rest[i+1] == '\'':
			i++
		case s.rest[i] == '\'':
			s.take(i + 1)
			return true
		}
	}
	return false
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func unquoted(c byte) bool {
	return letter(c) || c >= '0' && c <= '9' || strings.IndexByte("-._:/", c) >= 0
}

// fold makes names comparable as the server does: only ASCII letters have no case.
func fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
