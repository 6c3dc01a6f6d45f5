package pgfake

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
)

// Step is one act of a scripted connection: sending a Message or expecting
// something of the client.
type Step interface {
	fmt.Stringer
	run(*Conn) error
}

type step struct {
	what string
	act  func(*Conn) error
}

func (s step) String() string    { return s.what }
func (s step) run(c *Conn) error { return s.act(c) }

// Do is a step of the test's own. What it returns fails the test; what names it
// there.
func Do(what string, act func(*Conn) error) Step { return step{what, act} }

// Script runs steps in order. The first that fails ends the connection, and the
// test is told which one it was.
func Script(steps ...Step) Step {
	return step{fmt.Sprintf("script of %d steps", len(steps)), func(c *Conn) error {
		for i, s := range steps {
			if _, nested := s.(step); !nested || !strings.HasPrefix(s.String(), "script of") {
				at := fmt.Sprintf("step %d of %d, %v", i+1, len(steps), s)
				c.at.Store(&at)
			}
			if err := s.run(c); err != nil {
				if errors.Is(err, errEnded) {
					return err
				}
				return fmt.Errorf("step %d of %d, %v: %w", i+1, len(steps), s, err)
			}
		}
		return nil
	}}
}

// UntilGone runs steps and takes it for success when the client closes or
// resets the connection before their end: for clients that are expected to
// give up.
func UntilGone(steps ...Step) Step {
	script := Script(steps...)
	return step{"until the client is gone: " + script.String(), func(c *Conn) error {
		err := script.run(c)
		if errors.Is(err, errGone) {
			return ended(err)
		}
		return err
	}}
}

// Startup accepts the connection without a password, as a server of that
// version that reports nothing but the parameters that a real walsender
// reports. Encryption is refused. params are further name, value pairs to
// report, or other values for the usual ones.
func Startup(version string, params ...string) Step {
	return step{"Startup", func(c *Conn) error {
		if err := c.receiveStartup(); err != nil {
			return err
		}
		return c.accept(version, params)
	}}
}

// Expect waits for a simple query, the whole of which matches the regular
// expression.
func Expect(pattern string) Step {
	re := regexp.MustCompile(`(?s)^(?:` + pattern + `)$`)
	return step{fmt.Sprintf("Expect(%q)", pattern), func(c *Conn) error {
		m, err := c.Receive()
		if err != nil {
			return fmt.Errorf("want a query that matches %q: %w", pattern, err)
		}
		q, ok := m.(*pgproto3.Query)
		if !ok {
			return fmt.Errorf("want a query that matches %q, %w", pattern, unexpected(m))
		}
		if !re.MatchString(q.String) {
			return fmt.Errorf("want a query that matches %q, got %q", pattern, q.String)
		}
		return nil
	}}
}

// ExpectCopyData waits for CopyData and gives its payload to check.
func ExpectCopyData(check func(b []byte) error) Step {
	return step{"ExpectCopyData", func(c *Conn) error {
		m, err := c.Receive()
		if err != nil {
			return fmt.Errorf("want CopyData: %w", err)
		}
		d, ok := m.(*pgproto3.CopyData)
		if !ok {
			return fmt.Errorf("want CopyData, %w", unexpected(m))
		}
		return check(d.Data)
	}}
}

// ExpectStatus waits for a standby status update and gives it to check.
func ExpectStatus(check func(Status) error) Step {
	s := ExpectCopyData(func(b []byte) error {
		st, err := parseStatus(b)
		if err != nil {
			return err
		}
		return check(st)
	})
	return Do("ExpectStatus", s.run)
}

// ExpectCopyDone waits for the client's CopyDone. Standby status updates that
// come before it are skipped: they may come at any time.
func ExpectCopyDone() Step {
	return step{"ExpectCopyDone", func(c *Conn) error {
		for {
			m, err := c.Receive()
			if err != nil {
				return fmt.Errorf("want CopyDone: %w", err)
			}
			switch m := m.(type) {
			case *pgproto3.CopyDone:
				return nil
			case *pgproto3.CopyData:
				if _, err := parseStatus(m.Data); err != nil {
					return err
				}
			default:
				return fmt.Errorf("want CopyDone, %w", unexpected(m))
			}
		}
	}}
}

// ExpectClose waits for the end of the connection, with Terminate or without.
func ExpectClose() Step {
	return step{"ExpectClose", func(c *Conn) error {
		m, err := c.Receive()
		if err != nil {
			if errors.Is(err, errGone) {
				return nil
			}
			return fmt.Errorf("want the end of the connection: %w", err)
		}
		if _, ok := m.(*pgproto3.Terminate); !ok {
			return fmt.Errorf("want the end of the connection, %w", unexpected(m))
		}
		return nil
	}}
}

// unexpected is the error for a message that should not have come. Terminate
// is a way to be gone.
func unexpected(m pgproto3.FrontendMessage) error {
	if _, ok := m.(*pgproto3.Terminate); ok {
		return fmt.Errorf("got Terminate: %w", errGone)
	}
	return fmt.Errorf("got %s", describe(m))
}

// describe names a client's message with what a failing test wants to see of it.
func describe(m pgproto3.FrontendMessage) string {
	switch m := m.(type) {
	case *pgproto3.Query:
		return fmt.Sprintf("query %q", m.String)
	case *pgproto3.CopyData:
		if st, err := parseStatus(m.Data); err == nil {
			return fmt.Sprintf("standby status %+v", st)
		}
		return fmt.Sprintf("CopyData of %d bytes", len(m.Data))
	case *pgproto3.CopyFail:
		return fmt.Sprintf("CopyFail %q", m.Message)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
}

// Status is a standby status update from the client ('r' in CopyData).
type Status struct {
	Write, Flush, Apply lsn.LSN
	ReplyRequested      bool
}

func parseStatus(b []byte) (Status, error) {
	if len(b) != 34 || b[0] != 'r' {
		return Status{}, fmt.Errorf("want a standby status update, got CopyData of %d bytes", len(b))
	}
	return Status{beLSN(b[1:]), beLSN(b[9:]), beLSN(b[17:]), b[33] != 0}, nil
}
