package pgdata

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// layout takes the fields of a C struct one after the other, each aligned to its size. Past the end fields are zero and short
// is set.
type layout struct {
	b     []byte
	off   int
	short bool
}

func (l *layout) bytes(n int) []byte {
	if l.off+n > len(l.b) {
		l.short = true
		return make([]byte, n)
	}
	l.off += n
	return l.b[l.off-n : l.off]
}

func (l *layout) align(n int) { l.off = (l.off + n - 1) &^ (n - 1) }

func (l *layout) uint32() uint32 {
	l.align(4)
	return binary.LittleEndian.Uint32(l.bytes(4))
}

func (l *layout) uint64() uint64 {
	l.align(8)
	return binary.LittleEndian.Uint64(l.bytes(8))
}

func (l *layout) int32() int32 { return int32(l.uint32()) }
func (l *layout) lsn() lsn.LSN { return lsn.LSN(l.uint64()) }
func (l *layout) bool() bool   { return l.bytes(1)[0] != 0 }

// time is a pg_time_t: seconds since 1970.
func (l *layout) time() time.Time { return time.Unix(int64(l.uint64()), 0).UTC() }

// taken is everything up to where a following uint32 would start.
func (l *layout) taken() []byte {
	l.align(4)
	return l.b[:min(l.off, len(l.b))]
}

// crcOffset finds a checksum of all that comes before it, at a multiple of 4, as the field that ends pg_control in every format.
// It returns -1 if there is none. Zeroes after a struct are never taken for one: their checksum is not 0.
func crcOffset(b []byte) int {
	var sum uint32
	for off := 0; off+4 <= min(len(b), ControlSize); off += 4 {
		word := b[off : off+4]
		if off >= stableSize && binary.LittleEndian.Uint32(word) == sum {
			return off
		}
		sum = crc32.Update(sum, castagnoli, word)
	}
	return -1
}
