//go:build !linux

package replproto

import "net"

// blocking leaves connections as they are on this system.
func blocking(nc net.Conn) net.Conn { return nc }
