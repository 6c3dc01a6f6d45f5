package replproto

import (
	"context"
	"net"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

var (
	noDeadline   time.Time
	aLongTimeAgo = time.Unix(1, 0)
)

// socketOptions are what is set on TCP connections.
type socketOptions struct {
	keepAlive   net.KeepAliveConfig
	userTimeout int // milliseconds, 0 is the system's default
}

// What TCP's keepalives are where the options say nothing: a host that has vanished
// is found out after four minutes instead of the usual two hours and eleven minutes,
// and what stands between does not forget a connection on which the server does a
// long checkpoint.
const (
	keepAliveIdle     = 60 * time.Second
	keepAliveInterval = 20 * time.Second
	keepAliveCount    = 9
)

// newSocketOptions reads the keepalives and tcp_user_timeout options. What is set
// to 0 is left to the operating system, as libpq leaves it, and so is the timeout
// that is not set.
func newSocketOptions(s conninfo.Settings) (socketOptions, error) {
	var firstErr error
	number := func(keyword string, unset int) int {
		n, ok, err := s.Int(keyword)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		if !ok {
			return unset
		}
		return n
	}
	seconds := func(keyword string, unset time.Duration) time.Duration {
		if n := number(keyword, int(unset/time.Second)); n > 0 {
			return time.Duration(n) * time.Second
		}
		return -1
	}
	o := socketOptions{
		keepAlive: net.KeepAliveConfig{
			Enable:   number("keepalives", 1) != 0,
			Idle:     seconds("keepalives_idle", keepAliveIdle),
			Interval: seconds("keepalives_interval", keepAliveInterval),
			Count:    number("keepalives_count", keepAliveCount),
		},
		userTimeout: max(number("tcp_user_timeout", 0), 0),
	}
	if o.keepAlive.Count <= 0 {
		o.keepAlive.Count = -1
	}
	return o, firstErr
}

// dial opens the connection; the end of ctx interrupts it.
func (o socketOptions) dial(ctx context.Context, a address) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if a.network == "tcp" {
		d.KeepAliveConfig = o.keepAlive
		if o.userTimeout > 0 {
			d.Control = func(_, _ string, c syscall.RawConn) error { return setUserTimeout(c, o.userTimeout) }
		}
	}
	return d.DialContext(ctx, a.network, a.name)
}
