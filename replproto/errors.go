package replproto

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Fields are what an ErrorResponse and a NoticeResponse carry (protocol
// section "Error and Notice Message Fields"). Severity is the non-localised
// one where the server sends it (9.6 and later).
type Fields struct {
	Severity string
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
	Context  string
}

// String lays the fields out as libpq does: severity, two blanks, message, and
// a line each for what else there is.
func (f *Fields) String() string {
	var b strings.Builder
	b.WriteString(f.Severity)
	b.WriteString(":  ")
	b.WriteString(cmp.Or(f.Message, "(without a message)"))
	for _, line := range []struct{ name, text string }{
		{"DETAIL", f.Detail}, {"HINT", f.Hint}, {"CONTEXT", f.Context},
	} {
		if line.text != "" {
			fmt.Fprintf(&b, "\n%s:  %s", line.name, line.text)
		}
	}
	return b.String()
}

// Notice is a message that the server sent beside its answers: a warning about
// a page checksum, a remark about WAL archiving.
type Notice struct{ Fields }

func newNotice(body []byte) *Notice {
	f := parseFields(body)
	f.Severity = cmp.Or(f.Severity, "NOTICE")
	return &Notice{f}
}

// ServerError is an error that the server reported.
type ServerError struct{ Fields }

func newServerError(body []byte) *ServerError {
	f := parseFields(body)
	f.Severity = cmp.Or(f.Severity, "ERROR")
	return &ServerError{f}
}

func (e *ServerError) Error() string { return e.String() }

// fatal tells whether the server closes the connection after the error.
func (e *ServerError) fatal() bool { return e.Severity == "FATAL" || e.Severity == "PANIC" }

// HasCode tells whether err is, or wraps, a server error with this SQLSTATE.
func HasCode(err error, code string) bool {
	var se *ServerError
	return errors.As(err, &se) && se.Code == code
}

// UnsupportedError says that the server is too old for what was asked.
type UnsupportedError struct {
	What   string // "BASE_BACKUP option MAX_RATE"
	Since  string // "9.4"
	Server string // "9.1.24"
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s needs server version %s or later, this server is %s", e.What, e.Since, e.Server)
}

// ErrConnectionLost is wrapped by every error that means the server went away
// in the middle of a conversation.
var ErrConnectionLost = errors.New("server closed the connection unexpectedly")

// ProtocolError is an answer that no server should give.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "protocol error: " + e.Reason }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// parseFields reads the body of an ErrorResponse or NoticeResponse: pairs of a
// field code and a NUL-terminated string, ended by a NUL.
func parseFields(body []byte) Fields {
	var f Fields
	var localised string
	for len(body) > 1 && body[0] != 0 {
		code := body[0]
		value, rest, ok := cutString(body[1:])
		if !ok {
			break
		}
		body = rest
		switch code {
		case 'S':
			localised = value
		case 'V':
			f.Severity = value
		case 'C':
			f.Code = value
		case 'M':
			f.Message = value
		case 'D':
			f.Detail = value
		case 'H':
			f.Hint = value
		case 'W':
			f.Context = value
		}
	}
	if f.Severity == "" {
		f.Severity = localised
	}
	return f
}

// cutString takes a NUL-terminated string off the front of b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), b[i+1:], true
		}
	}
	return "", b, false
}
