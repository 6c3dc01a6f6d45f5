package walstream

import (
	"encoding/binary"
	"io"
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// The long header of a segment's first page (XLogLongPageHeaderData in
// xlog_internal.h), the same in all versions from 9.3 on.
const (
	headerInfo        = 2 // uint16
	headerSystem      = 24
	headerSegmentSize = 32 // uint32
	headerSize        = 40

	longHeader = 0x0002 // in headerInfo
)

// segmentSystem is the system identifier in a segment, 0 if it cannot be told:
// a partial one may have nothing yet. The header is in the byte order of the
// server's machine.
func segmentSystem(path string, segmentSize int64) uint64 {
	f, err := durable.OpenRead(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	z, err := codec.NewReader(f, codec.ByName(strings.TrimSuffix(path, PartialSuffix)))
	if err != nil {
		return 0
	}
	defer z.Close()
	var h [headerSize]byte
	if _, err := io.ReadFull(z, h[:]); err != nil {
		return 0
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint16(h[headerInfo:])&longHeader != 0 && int64(order.Uint32(h[headerSegmentSize:])) == segmentSize {
			return order.Uint64(h[headerSystem:])
		}
	}
	return 0
}
