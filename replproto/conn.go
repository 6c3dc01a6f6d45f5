package replproto

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Conn is one physical replication connection. Commands are for one goroutine
// at a time; Replication.SendStatus and Close may be called from others.
type Conn struct {
	wire    *wire
	version Version
	pid     uint32
	params  map[string]string
	notice  func(*Notice)
	timeout time.Duration // how long the server may be silent; 0 = for ever
	// waits: a notice of the server means that it waits for something that can
	// take any time, and will say so ever more rarely.
	waits bool

	// broken is the first error after which the connection is of no use, so
	// that later calls name the cause and not its consequences.
	broken error
	ctx    context.Context // of the command under way; nil between commands
	unhook func() bool     // stops watching ctx
	name   string          // of that command, or the last one
	talk   int             // bytes that came since its answer last got on

	sendMu  sync.Mutex
	sendBuf []byte
}

// newConn takes over an idle connection from pgconn, which did everything up
// to the first ReadyForQuery. From here on the messages are read by this
// package alone, through one large buffer: pgconn would copy and allocate per
// message, loses notices' order, and does not know BASE_BACKUP's stream.
func newConn(h *pgconn.HijackedConn) (*Conn, error) {
	c := &Conn{wire: newWire(h.Conn), pid: h.PID, params: h.ParameterStatuses}
	v, err := parseVersion(c.params["server_version"])
	if err != nil {
		return nil, errors.Join(err, h.Conn.Close())
	}
	c.version = v
	return c, nil
}

// ServerVersion is the server's version as a number.
func (c *Conn) ServerVersion() Version { return c.version }

// ServerVersionString is the server's version as it writes it itself, such as
// "15.18 (Debian 15.18-0+deb12u1)".
func (c *Conn) ServerVersionString() string { return c.params["server_version"] }

// Parameter is the last value that the server reported for one of its
// reportable settings, "" if it did not. Values of more than 16 KiB are not kept.
func (c *Conn) Parameter(name string) string { return c.params[name] }

// PID is the process id of the server's process at the other end.
func (c *Conn) PID() uint32 { return c.pid }

// SetNotice sets what is called for every notice, on the goroutine that runs
// the command, in the order of arrival. nil drops them.
func (c *Conn) SetNotice(f func(*Notice)) { c.notice = f }

// Close says goodbye to the server, if nothing went wrong before, and closes
// the connection. A command that blocks in another goroutine fails.
func (c *Conn) Close() error {
	if c.sendMu.TryLock() {
		// Terminate is a courtesy: a server that does not take it at once
		// notices the closed socket.
		c.wire.nc.SetWriteDeadline(time.Now().Add(time.Second))
		c.wire.nc.Write([]byte{'X', 0, 0, 0, 4})
		c.sendMu.Unlock()
	}
	return c.wire.nc.Close()
}

// begin opens a command: ctx ends it by ending the connection's I/O, because
// the protocol has no way back to a known state in the middle of a stream.
func (c *Conn) begin(ctx context.Context) error {
	if c.broken != nil {
		return fmt.Errorf("connection is not usable any more: %w", c.broken)
	}
	if c.ctx != nil {
		return errors.New("another command is under way on this connection")
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	c.ctx, c.talk = ctx, 0
	c.unhook = context.AfterFunc(ctx, c.wire.interrupt)
	c.waits = false
	c.wire.allow(c.timeout, nil)
	return nil
}

// end closes a command.
func (c *Conn) end() {
	if c.ctx == nil {
		return
	}
	if !c.unhook() && c.broken == nil {
		c.broken = context.Cause(c.ctx)
	}
	c.ctx, c.unhook = nil, nil
}

// fail marks the connection as unusable, ends the command, and turns a read
// that was interrupted by the context into the context's own reason.
func (c *Conn) fail(err error) error {
	if c.ctx != nil && c.ctx.Err() != nil {
		err = context.Cause(c.ctx)
	}
	if c.broken == nil {
		c.broken = err
	}
	c.end()
	return err
}

// query sends a command by the simple query protocol.
func (c *Conn) query(sql string) error {
	c.name, _, _ = strings.Cut(sql, " ")
	b := make([]byte, 0, headerSize+len(sql)+1)
	b = append(b, 'Q')
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(sql)+1))
	b = append(b, sql...)
	return c.send(append(b, 0))
}

// sendCopyData sends payload as one CopyData message.
func (c *Conn) sendCopyData(payload []byte) error {
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	b := append(c.sendBuf[:0], 'd')
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(payload)))
	c.sendBuf = append(b, payload...)
	return sendError(c.wire.write(c.sendBuf, c.timeout))
}

func (c *Conn) sendCopyDone() error { return c.send([]byte{'c', 0, 0, 0, 4}) }

func (c *Conn) send(b []byte) error {
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	return sendError(c.wire.write(b, c.timeout))
}

func sendError(err error) error {
	if err == nil || timedOut(err) {
		return err
	}
	var silent *SilenceError
	if errors.As(err, &silent) {
		return fmt.Errorf("could not send data to server: %w", err)
	}
	return fmt.Errorf("could not send data to server: %w: %w", ErrConnectionLost, err)
}

// receive returns the type of the next message that belongs to the command
// under way. Its body is then read from c.wire. Notices and parameter changes,
// which a server may send between any two messages, are taken care of here for
// every command, and so are errors: a *ServerError is returned after the
// server is ready for the next command again, or has closed the connection.
func (c *Conn) receive() (byte, error) {
	for {
		typ, err := c.next()
		if err != nil {
			return 0, c.fail(err)
		}
		switch typ {
		case 'N', 'S', 'A', 'E':
			body, err := c.wire.body()
			if err != nil {
				return 0, c.fail(err)
			}
			switch typ {
			case 'N':
				if c.waits {
					c.wire.allow(0, nil)
				}
				if c.notice != nil {
					c.notice(newNotice(body))
				}
			case 'S':
				c.setParameter(body)
			case 'E':
				return 0, c.serverError(newServerError(body))
			}
		default:
			return typ, nil
		}
	}
}

// maxTalk bounds what a server may send, in bytes, without getting on with its
// answer: notices, changed settings, empty pieces of a COPY, WAL after it was asked
// to stop. A real one sends some lines, or what its socket still held. One that says
// nothing is waited for, as long as the command's context lets it.
const maxTalk = 64 << 20

// next reads the header of the next message. Of CopyData only the header counts as
// talk: who takes the content knows whether it gets the answer on.
func (c *Conn) next() (byte, error) {
	typ, size, err := c.wire.next()
	if err != nil {
		return 0, err
	}
	if typ == 'd' {
		size = 0
	}
	if size > maxTalk {
		return 0, protocolErrorf("message of type %q claims a length of %d bytes", typ, size+4)
	}
	return typ, c.talked(headerSize + size)
}

// talked notes bytes that do not get the answer on.
func (c *Conn) talked(n int) error {
	if c.talk += n; c.talk > maxTalk {
		return protocolErrorf("server sent more than %d bytes without getting on with its answer to %s", maxTalk, c.name)
	}
	return nil
}

// gotOn notes that the answer to the command has got on.
func (c *Conn) gotOn() { c.talk = 0 }

// Bounds on the settings that are kept: a server reports a fixed, small set.
const (
	maxParameters = 256
	maxParameter  = 16 << 10 // bytes of name and value
)

func (c *Conn) setParameter(body []byte) {
	name, rest, ok := cutString(body)
	value, _, ok2 := cutString(rest)
	if _, known := c.params[name]; ok && ok2 && len(body) <= maxParameter && (known || len(c.params) < maxParameters) {
		c.params[name] = value
	}
}

// serverError reads on to the ReadyForQuery that follows an error.
func (c *Conn) serverError(se *ServerError) error {
	if se.fatal() {
		return c.fail(se)
	}
	for {
		typ, err := c.next()
		if err != nil {
			if c.ctx != nil && c.ctx.Err() != nil {
				return c.fail(err)
			}
			return c.fail(se)
		}
		if typ == 'Z' && c.wire.skip() == nil {
			c.end()
			return se
		}
	}
}

// expect receives a message that must be of type want, and skips its body.
func (c *Conn) expect(want byte, what string) error {
	typ, err := c.receive()
	if err != nil {
		return err
	}
	if typ != want {
		return c.unexpected(typ, what)
	}
	if err := c.wire.skip(); err != nil {
		return c.fail(err)
	}
	return nil
}

func (c *Conn) unexpected(typ byte, what string) error {
	return c.fail(protocolErrorf("unexpected message of type %q in the answer to %s", typ, what))
}
