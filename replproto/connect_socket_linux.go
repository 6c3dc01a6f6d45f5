package replproto

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the space in sockaddr_un without the final NUL.
const maxSocketPath = 107

func setUserTimeout(c syscall.RawConn, milliseconds int) error {
	var err error
	ctlErr := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt(TCP_USER_TIMEOUT)",
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds))
	})
	return errors.Join(ctlErr, err)
}

// checkPeer checks that the server behind a socket runs as the user that
// requirepeer names. It has no meaning for other connections.
func checkPeer(nc net.Conn, name string) error {
	u, ok := nc.(*net.UnixConn)
	if name == "" || !ok {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return fmt.Errorf("could not get peer credentials: %w", err)
	}
	var cred *unix.Ucred
	ctlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(ctlErr, err); err != nil {
		return fmt.Errorf("could not get peer credentials: %w", err)
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	peer, err := user.LookupId(uid)
	if err != nil {
		return fmt.Errorf("local user with ID %s does not exist", uid)
	}
	if peer.Username != name {
		return fmt.Errorf("requirepeer specifies \"%s\", but actual peer user name is \"%s\"", name, peer.Username)
	}
	return nil
}
