package pgfake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
)

// Conn is one accepted connection, as a Step of the test's own sees it.
type Conn struct {
	// Number counts connections from 0, in the order of acceptance.
	Number int
	// Startup holds the client's startup parameters, once they were read.
	Startup map[string]string

	s    *Server
	nc   net.Conn
	in   *pgproto3.Backend
	out  output
	pump chan received          // set once messages are read ahead
	done chan struct{}          // closed when the connection's step is over
	at   atomic.Pointer[string] // what the script is doing, for diagnostics
	idle atomic.Bool            // the connection may be closed at any time without harm
}

var (
	// errGone is in the error when the client closed or reset the connection.
	errGone = errors.New("the client closed the connection")
	// errEnded ends a script early and is no failure.
	errEnded = errors.New("connection ended by the script")
)

func ended(err error) error { return fmt.Errorf("%w: %w", errEnded, err) }

// Receive is the client's next message, which is valid until the next call.
// What was sent before is flushed first.
func (c *Conn) Receive() (pgproto3.FrontendMessage, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.receive()
}

func (c *Conn) receive() (pgproto3.FrontendMessage, error) {
	if c.pump != nil {
		r := <-c.pump
		return r.message, r.err
	}
	return c.read()
}

func (c *Conn) read() (pgproto3.FrontendMessage, error) {
	m, err := c.in.Receive()
	if err != nil {
		return nil, gone(err)
	}
	if q, ok := m.(*pgproto3.Query); ok {
		c.s.recordQuery(c.Number, q.String)
	}
	return m, nil
}

// received is a message of the client that stays valid, or the error that ends
// the connection.
type received struct {
	message pgproto3.FrontendMessage
	err     error
}

// readAhead makes the client's messages arrive on a channel, so that a stream
// of log can be sent while waiting for them. The last one is an error.
func (c *Conn) readAhead() {
	c.pump = make(chan received)
	c.s.wg.Add(1)
	go func() {
		defer c.s.wg.Done()
		defer close(c.pump)
		for {
			m, err := c.read()
			select {
			case c.pump <- received{cloned(m), err}:
			case <-c.done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

// cloned copies what the next call to the decoder would overwrite.
func cloned(m pgproto3.FrontendMessage) pgproto3.FrontendMessage {
	switch m := m.(type) {
	case *pgproto3.Query:
		return &pgproto3.Query{String: m.String}
	case *pgproto3.CopyData:
		return &pgproto3.CopyData{Data: append([]byte(nil), m.Data...)}
	case *pgproto3.CopyFail:
		return &pgproto3.CopyFail{Message: m.Message}
	}
	return m
}

// gone marks errors of the connection itself, which all mean that the client
// left: a malformed message is another thing.
func gone(err error) error {
	var ne net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &ne) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// Send sends messages, or does what they do. Bytes may stay in a buffer until
// Flush, Receive, a fault, or the end of the script.
func (c *Conn) Send(messages ...Message) error {
	for _, m := range messages {
		if m.do != nil {
			if err := c.Flush(); err != nil {
				return err
			}
			if err := m.do(c); err != nil {
				return err
			}
			continue
		}
		var err error
		if c.out.buf, err = m.appendTo(c.out.buf); err != nil {
			return fmt.Errorf("encode %v: %w", m, err)
		}
		if len(c.out.buf) >= outputBufferSize {
			if err := c.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush hands everything sent so far to the network.
func (c *Conn) Flush() error {
	err := c.out.flush(c)
	c.out.buf = c.out.buf[:0]
	return err
}

func (c *Conn) receiveStartup() error {
	for {
		m, err := c.in.ReceiveStartupMessage()
		if err != nil {
			return fmt.Errorf("want a startup packet: %w", gone(err))
		}
		switch m := m.(type) {
		case *pgproto3.StartupMessage:
			c.Startup = m.Parameters
			c.s.recordStartup(m.Parameters)
			return nil
		case *pgproto3.SSLRequest, *pgproto3.GSSEncRequest:
			if err := c.Send(RawBytes([]byte{'N'})); err != nil {
				return err
			}
			if err := c.Flush(); err != nil {
				return err
			}
		case *pgproto3.CancelRequest:
			return ended(errors.New("cancel request"))
		default:
			return fmt.Errorf("want a startup packet, got %T", m)
		}
	}
}

// accept reports what a walsender reports. pg_settings of every version from
// 9.1 on have these; later ones are added by version.
func (c *Conn) accept(version string, params []string) error {
	report := []string{
		"application_name", c.Startup["application_name"],
		"client_encoding", "SQL_ASCII",
		"DateStyle", "ISO, MDY",
		"integer_datetimes", "on",
		"IntervalStyle", "postgres",
		"is_superuser", "on",
		"server_encoding", "SQL_ASCII",
		"server_version", version,
		"session_authorization", c.Startup["user"],
		"standard_conforming_strings", "on",
		"TimeZone", "UTC",
	}
	if versionNumber(version) >= 140000 {
		report = append(report, "default_transaction_read_only", "off", "in_hot_standby", "off")
	}
	report = append(report, params...)
	if err := c.Send(proto("AuthenticationOk", &pgproto3.AuthenticationOk{})); err != nil {
		return err
	}
	for i := 0; i+1 < len(report); i += 2 {
		if overridden(report[i+2:], report[i]) {
			continue
		}
		if err := c.Send(ParameterStatus(report[i], report[i+1])); err != nil {
			return err
		}
	}
	key := binary.BigEndian.AppendUint32(nil, 0x70676661)
	return c.Send(
		proto("BackendKeyData", &pgproto3.BackendKeyData{ProcessID: c.pid(), SecretKey: key}),
		ReadyForQuery(),
	)
}

func overridden(later []string, name string) bool {
	for i := 0; i+1 < len(later); i += 2 {
		if later[i] == name {
			return true
		}
	}
	return false
}

func (c *Conn) pid() uint32 { return 1000 + uint32(c.Number) }

func beLSN(b []byte) lsn.LSN { return lsn.LSN(binary.BigEndian.Uint64(b)) }
