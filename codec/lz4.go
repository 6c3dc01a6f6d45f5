package codec

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"

	"github.com/pierrec/lz4/v4"
)

const (
	lz4Magic     = 0x184d2204
	lz4Block     = 1 << 20
	lz4Block1MiB = 6 << 4 // BD byte
	lz4Stored    = 1 << 31
	// lz4Flags is the FLG byte: version 1, independent blocks, block checksums.
	lz4Flags = 1<<6 | 1<<5 | 1<<4
)

// lz4Format writes one frame of independent blocks with a checksum each (doc/lz4_Frame_format.md of the LZ4 library). A checksum of the content would be
// of three times as much, by one goroutine: a tenth of a backup's CPU time.
func lz4Format(s Spec) format {
	header := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	header = append(header, lz4Flags, lz4Block1MiB)
	var sum xxh32
	sum.Write(header[4:])
	return format{
		blockSize: lz4Block,
		encoder:   func() (blockEncoder, error) { return newLZ4Encoder(s.level()), nil },
		header:    append(header, byte(sum.Sum32()>>8)),
		trailer:   func(checksum, int64) []byte { return make([]byte, 4) }, // the end mark, a block size of zero
	}
}

// lz4Encoder compresses blocks with one of two algorithms.
type lz4Encoder struct {
	fast *lz4.CompressorCCompat
	high *lz4.CompressorHC
}

func newLZ4Encoder(level int) *lz4Encoder {
	if level < lz4MinHC {
		return &lz4Encoder{fast: new(lz4.CompressorCCompat)}
	}
	return &lz4Encoder{high: &lz4.CompressorHC{Level: lz4Depth[level]}}
}

// lz4MinHC is the first level of the LZ4 library's high compression mode; those below it are all the fast mode.
const lz4MinHC = 3

// lz4Depth says how many earlier places are tried for a match, as the LZ4 library does up to level 9. The levels above
// it look for the best sequence of matches there, and only farther here.
var lz4Depth = [...]lz4.CompressionLevel{3: 4, 4: 8, 5: 16, 6: 32, 7: 64, 8: 128, 9: 256, 10: 512, 11: 4096, 12: 16384}

func (e *lz4Encoder) encode(dst []byte, b *block) ([]byte, error) {
	data := b.data()
	if len(data) == 0 {
		return dst, nil
	}
	at := len(dst)
	dst = slices.Grow(dst, 4+len(data)+4)[:at+4+len(data)]
	size, room := dst[at:at+4], dst[at+4:]
	var n int
	// An error, or 0, says that the block does not become smaller.
	if e.fast != nil {
		n, _ = e.fast.CompressBlock(data, room)
	} else {
		n, _ = e.high.CompressBlock(data, room)
	}
	if n <= 0 || n >= len(data) {
		binary.LittleEndian.PutUint32(size, lz4Stored|uint32(len(data)))
		n = copy(room, data)
	} else {
		binary.LittleEndian.PutUint32(size, uint32(n))
	}
	var sum xxh32
	sum.Write(room[:n])
	return binary.LittleEndian.AppendUint32(dst[:at+4+n], sum.Sum32()), nil
}

func unlz4(src io.Reader, out *pieces) error {
	return out.fill(lz4.NewReader(bufio.NewReaderSize(src, readCompress)))
}
