package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	headerSize = 12
	// terminator ends each frame: no frame ends in a zero, so that one whose end is
	// zero was not written to its end.
	terminator = '\n'
	// MaxRecord is the longest record, in bytes.
	MaxRecord = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(b, record []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(record)+1))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:at+4], castagnoli))
	at += headerSize
	b = append(append(append(b, 0, 0, 0, 0), record...), terminator)
	binary.LittleEndian.PutUint32(b[at-4:], crc32.Checksum(b[at:], castagnoli))
	return b
}

// DamagedError says that a journal has something in it, before its end, that was
// never written.
type DamagedError struct {
	Path   string
	Offset int64 // of the first record that cannot be read, in bytes
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("journal %q is damaged at byte %d", e.Path, e.Offset)
}
