package replproto

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/conninfo"
)

// What the options say about TCP is what the socket has.
func TestTCPOptionsAreSetOnTheSocket(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	system := socketValues(t, "keepalives_idle=0 keepalives_interval=0 keepalives_count=0 tcp_user_timeout=0", ln.Addr().String())
	var on, idle, interval, count, user int
	if _, err := fmt.Sscan(system, &on, &idle, &interval, &count, &user); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ options, want string }{
		{"", fmt.Sprint(1, 60, 20, 9, user)},
		{"keepalives_idle=31 keepalives_interval=7 keepalives_count=3 tcp_user_timeout=4321", fmt.Sprint(1, 31, 7, 3, 4321)},
		{"keepalives_idle=0", fmt.Sprint(1, idle, 20, 9, user)},
		{"keepalives=1 keepalives_idle=-1 keepalives_interval=0 keepalives_count=0", fmt.Sprint(1, idle, interval, count, user)},
		{"keepalives=0 tcp_user_timeout=1000", fmt.Sprint(0, idle, interval, count, 1000)},
	} {
		if got := socketValues(t, c.options, ln.Addr().String()); got != c.want {
			t.Errorf("%q: %s, want %s (keepalive, idle, interval, count, user timeout)", c.options, got, c.want)
		}
	}
}

func socketValues(t *testing.T, options, addr string) string {
	t.Helper()
	settings, err := conninfo.Parse(options)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newSocketOptions(settings)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := o.dial(t.Context(), address{network: "tcp", name: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var values []any
	ctlErr := raw.Control(func(fd uintptr) {
		for _, o := range [][2]int{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
		} {
			var v int
			if v, err = unix.GetsockoptInt(int(fd), o[0], o[1]); err != nil {
				return
			}
			values = append(values, v)
		}
	})
	if ctlErr != nil || err != nil {
		t.Fatal(ctlErr, err)
	}
	return fmt.Sprintf("%d %d %d %d %d", values...)
}
