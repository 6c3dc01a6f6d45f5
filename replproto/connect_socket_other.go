//go:build !linux

package replproto

import (
	"errors"
	"net"
	"syscall"
)

// maxSocketPath is the space in sockaddr_un without the final NUL; the systems
// differ, and this is the smallest.
const maxSocketPath = 103

// setUserTimeout does nothing: as in libpq, tcp_user_timeout is ignored where
// the system has no such thing.
func setUserTimeout(syscall.RawConn, int) error { return nil }

// checkPeer refuses requirepeer on a socket: it would be unsafe to ignore.
func checkPeer(nc net.Conn, name string) error {
	if _, ok := nc.(*net.UnixConn); name == "" || !ok {
		return nil
	}
	return errors.New("requirepeer parameter is not supported on this platform")
}
