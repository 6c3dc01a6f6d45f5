package backuptest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/lsn"
)

// Control is a pg_control of PostgreSQL 17.
type Control struct {
	SystemID      uint64
	Version       uint32 // of the format; 0 means 1700
	Checksums     bool
	BlockSize     uint32 // 0 means 8192
	SegmentBlocks uint32 // 0 means 131072
}

// Bytes is the file. The offsets are those of pg_control.h on 64-bit machines.
func (c Control) Bytes() []byte {
	b := make([]byte, 8192)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	or := func(v, otherwise uint32) uint32 {
		if v == 0 {
			return otherwise
		}
		return v
	}
	binary.LittleEndian.PutUint64(b, c.SystemID)
	put(8, or(c.Version, 1700))
	put(12, 202406281) // the catalog version
	put(16, 6)         // in production
	put(48, 1)
	put(52, 1)
	put(216, or(c.BlockSize, 8192))
	put(220, or(c.SegmentBlocks, 131072))
	put(228, 16<<20)
	if c.Checksums {
		put(252, 1)
	}
	put(288, crc32.Checksum(b[:288], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Incremental is an incremental file.
func Incremental(l incremental.Layout, truncation uint32, blocks map[uint32][]byte) []byte {
	numbers := make([]uint32, 0, len(blocks))
	for n := range blocks {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	b := make([]byte, 0, l.FileSize(len(blocks)))
	for _, w := range append([]uint32{incremental.Magic, uint32(len(blocks)), truncation}, numbers...) {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	b = append(b, make([]byte, l.HeaderSize(len(blocks))-int64(len(b)))...)
	for _, n := range numbers {
		b = append(b, blocks[n]...)
	}
	return b
}

// Label is a backup_label; from and fromTLI are 0 for a full backup.
func Label(start lsn.LSN, tli uint32, from lsn.LSN, fromTLI uint32) []byte {
	b := fmt.Appendf(nil, "START WAL LOCATION: %v (file %08X%08X%08X)\nCHECKPOINT LOCATION: %v\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n"+
		"START TIME: 2026-02-03 04:05:06 UTC\nLABEL: made up\nSTART TIMELINE: %d\n", start, tli, uint64(start)>>32, uint64(start)&0xffffffff>>24, start, tli)
	if fromTLI != 0 {
		b = fmt.Appendf(b, "INCREMENTAL FROM LSN: %v\nINCREMENTAL FROM TLI: %d\n", from, fromTLI)
	}
	return b
}
