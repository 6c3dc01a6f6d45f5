package replproto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

// ConnectError says what every attempt to connect met, in order and in libpq's
// words. The errors of servers among them are found with errors.As.
type ConnectError struct {
	Attempts []error
}

func (e *ConnectError) Error() string {
	lines := make([]string, len(e.Attempts))
	for i, err := range e.Attempts {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors of the attempts, the last one first: it is the one
// that ended the search.
func (e *ConnectError) Unwrap() []error {
	last := make([]error, 0, len(e.Attempts))
	for i := len(e.Attempts) - 1; i >= 0; i-- {
		last = append(last, e.Attempts[i])
	}
	return last
}

// errNoPassword: the server wants a password and there is none.
var errNoPassword = errors.New("fe_sendauth: no password supplied")

// errTimeout: connect_timeout ended, or the server was silent for too long. It is a
// net.Error, as that of a socket would be.
var errTimeout net.Error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout expired" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// identify puts the server's identity in front of an error, as libpq does.
func identify(h conninfo.Host, ip string, err error) error {
	switch {
	case h.Socket:
		return fmt.Errorf("connection to server on socket \"%s\" failed: %w", h.SocketPath(), err)
	case h.Addr != "":
		return fmt.Errorf("connection to server at \"%s\", port %s failed: %w", h.Addr, h.Port, err)
	case ip != "" && ip != h.Host:
		return fmt.Errorf("connection to server at \"%s\" (%s), port %s failed: %w", h.Host, ip, h.Port, err)
	}
	return fmt.Errorf("connection to server at \"%s\", port %s failed: %w", h.Host, h.Port, err)
}

// systemError words an operating system's error as the C library does, which
// differs from Go in the first letter, and leaves out Go's "dial tcp ...".
type systemError struct {
	prefix, suffix string
	err            error
}

func (e *systemError) Error() string {
	return e.prefix + systemText(e.err) + e.suffix
}

func (e *systemError) Unwrap() error { return e.err }

func systemText(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if text := errno.Error(); text != "" {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return err.Error()
}

// unreachable words a failure to connect at all.
func unreachable(h conninfo.Host, err error) error {
	suffix := "\n\tIs the server running on that host and accepting TCP/IP connections?"
	if h.Socket {
		suffix = "\n\tIs the server running locally and accepting connections on that socket?"
	}
	return &systemError{suffix: suffix, err: err}
}

// lost words the failure of reading or writing on an open connection.
func lost(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.", ErrConnectionLost)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("SSL error: %w", op.Err)
	}
	return &systemError{prefix: "could not receive data from server: ", err: err}
}

// noAddress words a failed name lookup.
func noAddress(host string, err error) error {
	var dns *net.DNSError
	text := err.Error()
	if errors.As(err, &dns) {
		text = dns.Err
		switch {
		case dns.IsNotFound:
			text = "Name or service not known"
		case dns.IsTemporary:
			text = "Temporary failure in name resolution"
		}
	}
	return fmt.Errorf("could not translate host name \"%s\" to address: %s", host, text)
}

// ended tells whether an attempt failed because its time was up. Network
// timers may go off just before the context's own; ctx is then waited for, so
// that its state can be relied on afterwards.
func ended(ctx context.Context, err error) bool {
	var ne net.Error
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &ne) && ne.Timeout()) {
		return false
	}
	if t, ok := ctx.Deadline(); ok && !time.Now().Before(t) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}
