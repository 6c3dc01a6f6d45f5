package faultproxy

import "encoding/binary"

const (
	headerSize = 5 // type byte, length

	// maxShown is how much of a query belongs to its kind.
	maxShown = 64

	sslRequest = 80877103
	gssRequest = 80877104
)

// session is what both directions of a connection have to know. It is guarded by
// the link's mutex.
type session struct {
	asked  bool // the client waits for the one byte that answers its wish for encryption
	opaque bool // encrypted, or nothing that this package knows
}

// framer finds where messages begin in what one side sends.
type framer struct {
	*session
	side    Side
	started bool  // the startup packet has passed; of the client
	left    int64 // of the current message
}

// next returns how many bytes at the front of b belong together: a message's
// header, or what there is of its body. kind is that of the message if one begins
// here. 0 means that more has to come first.
func (f *framer) next(b []byte) (n int, kind string) {
	if f.left > 0 {
		n = int(min(f.left, int64(len(b))))
		f.left -= int64(n)
		return n, ""
	}
	switch {
	case f.opaque:
		return len(b), ""
	case f.side == Client && !f.started:
		return f.startup(b)
	case f.side == Server && f.asked:
		f.asked = false
		// 'E' would be an error message of an old server.
		f.opaque = b[0] != 'N'
		return 1, ""
	}
	return f.message(b)
}

// startup reads a packet without a type: the length counts itself.
func (f *framer) startup(b []byte) (int, string) {
	if b[0] == 0x16 { // a TLS handshake without a request
		f.opaque = true
		return len(b), ""
	}
	if len(b) < 8 {
		return 0, ""
	}
	size, code := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if size < 8 || size > 1<<20 {
		f.opaque = true
		return len(b), ""
	}
	switch code {
	case sslRequest, gssRequest:
		f.asked = true
	default:
		f.started = true
	}
	f.left = int64(size) - 8
	return 8, ""
}

func (f *framer) message(b []byte) (int, string) {
	if len(b) < headerSize {
		return 0, ""
	}
	size := int64(binary.BigEndian.Uint32(b[1:])) - 4
	if size < 0 {
		f.opaque = true
		return len(b), ""
	}
	kind := string(b[:1])
	shown := int64(0)
	switch b[0] {
	case 'd':
		shown = min(size, 1)
	case 'Q':
		shown = min(size, maxShown)
	}
	if int64(len(b)-headerSize) < shown {
		return 0, ""
	}
	kind += string(b[headerSize : headerSize+shown])
	f.left = size
	return headerSize, kind
}
