package recoveryconf

import (
	"bytes"
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
	n := s.name()
	if n == "" {
		return "", false
	}
	s.space()
	if s.byte() == '=' {
		s.rest = s.rest[1:]
		s.space()
	}
	if !s.value() {
		return "", false
	}
	s.space()
	if c := s.byte(); c != 0 && c != '\n' && c != '#' {
		return "", false
	}
	return fold(n), true
}

type scanner struct{ rest []byte }

// byte is the next byte, 0 at the end. A zero byte in the file is no token either and ends in the same refusals, except at the
// end of a value.
func (s *scanner) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	return s.rest[0]
}

func (s *scanner) space() { s.rest = bytes.TrimLeft(s.rest, " \t\r") }

func (s *scanner) take(more func(c byte) bool) string {
	n := 0
	for n < len(s.rest) && more(s.rest[n]) {
		n++
	}
	token := string(s.rest[:n])
	s.rest = s.rest[n:]
	return token
}

// name takes an identifier, with an extension's name before it or not. The scanner takes the longest token, so that a name
// which goes on like an unquoted string is none.
func (s *scanner) name() string {
	if !letter(s.byte()) {
		return ""
	}
	token := s.take(func(c byte) bool { return unquoted(c) })
	if !validName(token) {
		return ""
	}
	return token
}

// value takes a quoted string, a word or a number.
func (s *scanner) value() bool {
	if s.byte() != '\'' {
		// Units and signs included. What is not a number after all is refused by the server, or its line sets nothing.
		return s.take(func(c byte) bool { return unquoted(c) || c == '+' }) != ""
	}
	for i := 1; i < len(s.rest) && s.rest[i] != '\n'; i++ {
		switch {
		case s.rest[i] == '\\' && i+1 < len(s.rest) && s.rest[i+1] != '\n':
			i++
		case s.rest[i] == '\'' && i+1 < len(s.rest) && s.rest[i+1] == '\'':
			i++
		case s.rest[i] == '\'':
			s.rest = s.rest[i+1:]
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
