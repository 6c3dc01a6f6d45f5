package codec

import (
	"bytes"
	"encoding/binary"
)

// A member of gzip in sections is one that can be decompressed by several workers. Each section is a sequence of whole deflate blocks
// that refer to nothing before them, ends at a byte boundary, and begins with its own length. To all other readers the member is like
// any other:
//
// A subfield of its header (RFC 1952, 2.3.1.1) says that it is in sections and how much content they have at most. The length of a
// section is told by five empty stored blocks, in the bits that fill up the byte of a stored block's header and mean nothing (RFC 1951,
// 3.2.4): 5 bits in each, the lowest ones first. It counts the five blocks as well.
const (
	sectionDigits    = 5 // empty blocks that tell the length
	sectionDigitBits = 5
	sectionDigitSize = 5 // bytes of an empty block
)

// sectionRecord is the record of a section without the length.
var sectionRecord = bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, sectionDigits)

// sectionLimit is more than the length of a section with so much content: what does not get smaller is stored in blocks of 64 KiB.
func sectionLimit(content int) int { return content + content/64 + 1024 }

// putSectionLength writes the length of the section that b begins with into its record.
func putSectionLength(b []byte, n int) {
	for i := range sectionDigits {
		b[i*sectionDigitSize] = byte(n << 3) // the first three bits are the block's header
		n >>= sectionDigitBits
	}
}

// sectionLength takes the length of the section that b begins with from its record. It is 0 if no record is there.
func sectionLength(b []byte) int {
	if len(b) < len(sectionRecord) {
		return 0
	}
	n := 0
	for i, want := range sectionRecord {
		digit, at := i/sectionDigitSize, i%sectionDigitSize
		switch {
		case at > 0 && b[i] != want, at == 0 && b[i]&7 != 0:
			return 0
		case at == 0:
			n |= int(b[i]>>3) << (digit * sectionDigitBits)
		}
	}
	if n < len(sectionRecord) {
		return 0
	}
	return n
}

// The extra field of a header: one subfield, which has a version and the largest content of a section.
const (
	sectionMark     = "PB\x05\x00\x01"
	sectionMarkSize = len(sectionMark) + 4
)

// sectionMost is the largest content of sections that a Reader gives memory to.
const sectionMost = 2 << 20

// sectionedHeader is the header of a member in sections with so much content at most.
func sectionedHeader(content int) []byte {
	const withExtra, unknownOS = 1 << 2, 255
	h := []byte{0x1f, 0x8b, 8, withExtra, 0, 0, 0, 0, 0, unknownOS, byte(sectionMarkSize), 0}
	return binary.LittleEndian.AppendUint32(append(h, sectionMark...), uint32(content))
}

// markedContent is what an extra field says that sections have at most, or 0 if it says nothing about them, or nothing to go by.
func markedContent(extra []byte) int {
	size, marked := bytes.CutPrefix(extra, []byte(sectionMark))
	if !marked || len(size) != 4 {
		return 0
	}
	n := binary.LittleEndian.Uint32(size)
	if n > sectionMost {
		return 0
	}
	return int(n)
}
