package verify

import "encoding/binary"

// What a page begins with (PageHeaderData in the server's bufpage.h), in
// little-endian byte order: the position of its last change as two halves, the
// checksum, flags, and where free space begins and ends.
const (
	pageLSNHigh    = 0
	pageLSNLow     = 4
	pageSumOffset  = 8
	pageUpper      = 14
	pageHeaderSize = 24
)

// A page's checksum takes it as a table of 32-bit numbers with 32 columns, each
// of which is hashed by itself in the manner of FNV-1a, with the offset basis that
// the column has here (src/include/storage/checksum_impl.h, which describes it and
// gives the numbers).
const (
	columns = 32
	rowSize = 4 * columns
	prime   = 16777619
	mixing  = 17
)

var offsetBasis = [columns]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// pageChecksum returns the checksum that the page should have as block number
// block of its relation. The length of the page must be a multiple of 128. The
// checksum that it has does not count.
func pageChecksum(page []byte, block uint32) uint16 {
	var sum uint32
	// Eight columns at a time fit into the registers.
	for c := 0; c < columns; c += 8 {
		b := offsetBasis[c : c+8 : c+8]
		s0, s1, s2, s3, s4, s5, s6, s7 := b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]
		for at := 4 * c; at+32 <= len(page); at += rowSize {
			p := page[at : at+32 : at+32]
			third := binary.LittleEndian.Uint32(p[8:])
			if at == 0 {
				third &^= 0xffff // the checksum itself
			}
			s0 = mix(s0, binary.LittleEndian.Uint32(p))
			s1 = mix(s1, binary.LittleEndian.Uint32(p[4:]))
			s2 = mix(s2, third)
			s3 = mix(s3, binary.LittleEndian.Uint32(p[12:]))
			s4 = mix(s4, binary.LittleEndian.Uint32(p[16:]))
			s5 = mix(s5, binary.LittleEndian.Uint32(p[20:]))
			s6 = mix(s6, binary.LittleEndian.Uint32(p[24:]))
			s7 = mix(s7, binary.LittleEndian.Uint32(p[28:]))
		}
		sum ^= finish(s0) ^ finish(s1) ^ finish(s2) ^ finish(s3) ^ finish(s4) ^ finish(s5) ^ finish(s6) ^ finish(s7)
	}
	return uint16((sum^block)%65535) + 1
}

func mix(sum, value uint32) uint32 {
	sum ^= value
	return sum*prime ^ sum>>mixing
}

// finish adds two rows of zeros.
func finish(sum uint32) uint32 { return mix(mix(sum, 0), 0) }
