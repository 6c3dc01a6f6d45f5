package replproto

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// takeOver makes a Conn of what pgconn connected.
func takeOver(ctx context.Context, s *session, cfg *Config) (*Conn, error) {
	if err := checkDatetimes(s); err != nil {
		closePolitely(s)
		return nil, err
	}
	nc := s.Conn()
	surplus, err := s.gate.drain(nc)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	h, err := s.Hijack()
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("could not take over the connection: %w", err)
	}
	h.Conn = blocking(nc)
	if len(surplus) > 0 {
		h.Conn = &resumedConn{Conn: h.Conn, pending: surplus}
	}
	c, err := newConn(h)
	if err != nil {
		return nil, err
	}
	c.SetNotice(cfg.Notice)
	c.timeout = cfg.serverTimeout()
	return c, nil
}

// maxSurplus bounds what a server can have sent unasked.
const maxSurplus = 1 << 20

// drain ends pgconn's reading and returns what it read beyond the startup.
// That is nothing, usually: but when a write takes long, pgconn starts to read
// in the background, and may still be at it. Its own way out, SyncConn, sends
// a query, which a physical walsender refuses; a deadline does it as well.
func (g *gate) drain(nc net.Conn) ([]byte, error) {
	if err := nc.SetReadDeadline(aLongTimeAgo); err != nil {
		return nil, fmt.Errorf("could not take over the connection: %w", err)
	}
	var surplus []byte
	buf := make([]byte, 8<<10)
	for {
		n, err := g.r.Read(buf)
		if surplus = append(surplus, buf[:n]...); len(surplus) > maxSurplus {
			return nil, errors.New("received an oversized message from the server")
		}
		if err == nil {
			continue
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			return nil, lost(err)
		}
		if err := nc.SetReadDeadline(noDeadline); err != nil {
			return nil, fmt.Errorf("could not take over the connection: %w", err)
		}
		return surplus, nil
	}
}

// resumedConn gives back what was read too early.
type resumedConn struct {
	net.Conn
	pending []byte
}

func (c *resumedConn) Read(p []byte) (int, error) {
	if len(c.pending) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	return n, nil
}
