package basebackup

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/walstream"
)

// lost tells whether err means that the server, or the way to it, has gone: something
// that may come back. again is set when a connection was lost before: then the server
// that does not take one may be starting, or still be busy with the one that was lost.
func lost(err error, again bool) bool {
	var server *replproto.ServerError
	if errors.As(err, &server) {
		return goneCode(server.Code) || again && busyCode(server.Code)
	}
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &path) || errors.As(err, &link) {
		return false
	}
	var connect *replproto.ConnectError
	if again && errors.As(err, &connect) {
		return true
	}
	// One that is not made although another one was, by this backup, falls through.
	var network net.Error
	switch {
	case errors.Is(err, replproto.ErrConnectionLost), errors.Is(err, walstream.ErrTerminated):
		return true
	case errors.As(err, &network) && network.Timeout():
		return true
	}
	for _, errno := range []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EPIPE, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENETRESET,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// goneCode is for SQLSTATEs of servers that end or start: class 08, and admin_shutdown,
// crash_shutdown and cannot_connect_now.
func goneCode(code string) bool {
	switch code {
	case replproto.CodeAdminShutdown, replproto.CodeCrashShutdown, replproto.CodeCannotConnectNow:
		return true
	}
	return strings.HasPrefix(code, "08")
}

// busyCode is for SQLSTATEs of servers on which something is still in use: class 53
// (insufficient resources), and a slot.
func busyCode(code string) bool {
	return strings.HasPrefix(code, "53") || code == replproto.CodeObjectInUse
}
