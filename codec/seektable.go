package codec

import "encoding/binary"

// The seek table stands in a frame to skip at the end of a file (facebook/zstd, contrib/seekable_format): an entry for each frame before it,
// with the frame's compressed size and that of its content, each 32 bits, and a footer of 9 bytes.
const (
	seekMagic       = zstdSkip | 0xe
	seekFooterMagic = 0x8f92eab1
	seekHeaderSize  = 8 // magic number and size of the rest
	seekFooterSize  = 9 // number of frames, descriptor, magic number
	seekEntrySize   = 8
	seekSummed      = 1 << 7    // in the descriptor: entries are 4 bytes longer, by a checksum
	seekReserved    = 0x1f << 2 // in the descriptor: must be zero
	seekMaxFrames   = 0x8000000 // ZSTD_SEEKABLE_MAXFRAMES
)

// seekTable is the table of a stream that is being written. It takes 8 bytes for a frame, up to twice that while it grows.
type seekTable struct {
	wanted  bool // somebody said where members begin
	entries []byte
	limit   int  // most frames
	full    bool // there were more
}

// add lists a frame. One that has no bytes is none.
func (t *seekTable) add(compressed, content int) {
	if compressed == 0 || t.full {
		return
	}
	if len(t.entries) == t.limit*seekEntrySize {
		t.entries, t.full = nil, true
		return
	}
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(compressed))
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(content))
}

// frame is the table as it is written; nothing if nobody wants it, or if there were too many frames.
func (t *seekTable) frame() []byte {
	if t.full || !t.wanted {
		return nil
	}
	le := binary.LittleEndian
	b := make([]byte, 0, seekHeaderSize+len(t.entries)+seekFooterSize)
	b = le.AppendUint32(b, seekMagic)
	b = le.AppendUint32(b, uint32(len(t.entries)+seekFooterSize))
	b = append(b, t.entries...)
	b = le.AppendUint32(b, uint32(len(t.entries)/seekEntrySize))
	b = append(b, 0)
	return le.AppendUint32(b, seekFooterMagic)
}
