package tarstream

import (
	"encoding/binary"
	"errors"
	"math"
)

// maxID is the largest user or group ID.
const maxID = math.MaxUint32

var (
	errNotNumber = errors.New("field is not a number")
	errRange     = errors.New("number is out of range")
)

// checksum adds up the bytes of a header, with the checksum field taken as
// spaces.
func checksum(b *[BlockSize]byte) int {
	// Two sums of bytes, of the even and the odd ones, in each half of a word:
	// 64 words cannot make 16-bit lanes overflow (64 * 255 < 65536).
	const lanes = 0x00ff00ff00ff00ff
	var even, odd uint64
	for i := 0; i < BlockSize; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		even += w & lanes
		odd += w >> 8 & lanes
	}
	sum := 0
	for i := 0; i < 64; i += 16 {
		sum += int(even>>i&0xffff) + int(odd>>i&0xffff)
	}
	for _, c := range b[checksumOff:][:checksumN] {
		sum -= int(c)
	}
	return sum + checksumN*' '
}

// parseNumber reads a field in octal or, marked by the first byte, base-256.
// Nothing but padding counts as 0.
func parseNumber(b []byte) (int64, error) {
	if b[0]&0x80 == 0 {
		return parseOctal(b)
	}
	if b[0] != 0x80 { // the sign and the highest bits
		return 0, errRange
	}
	var n uint64
	for _, c := range b[1:] {
		if n > math.MaxInt64>>8 {
			return 0, errRange
		}
		n = n<<8 | uint64(c)
	}
	return int64(n), nil
}

// parseOctal reads octal digits that may stand between spaces and zero bytes.
// Servers before 9.3 write the group ID one byte too far to the right, which
// leaves a zero byte in front of it.
func parseOctal(b []byte) (int64, error) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == 0) {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	var n int64
	for _, c := range b { // at most 12 digits: 36 bits
		if c < '0' || c > '7' {
			return 0, errNotNumber
		}
		n = n<<3 | int64(c-'0')
	}
	return n, nil
}

// parseSize reads a size, which must be there.
func parseSize(b []byte) (int64, error) {
	if b[0]&0x80 == 0 {
		digits := false
		for _, c := range b {
			digits = digits || c >= '0' && c <= '7'
		}
		if !digits {
			return 0, errNotNumber
		}
	}
	return parseNumber(b)
}

func parseID(b []byte) (int, error) {
	n, err := parseNumber(b)
	if err == nil && n > maxID {
		err = errRange
	}
	return int(n), err
}

// parseTime reads a time in seconds. Before 1970 it is negative: PostgreSQL
// writes that as an unsigned 64-bit number in base-256, others extend the sign,
// and the last eight bytes are the same.
func parseTime(b []byte) (int64, error) {
	if b[0]&0x80 == 0 {
		return parseOctal(b)
	}
	return int64(binary.BigEndian.Uint64(b[len(b)-8:])), nil
}

// putNumber writes v as PostgreSQL does: in octal with leading zeroes and one
// space at the end, or in base-256 where that does not fit. Fields of 8 bytes
// take up to 56 bits.
func putNumber(b []byte, v uint64) {
	if v < 1<<((len(b)-1)*3) {
		i := len(b) - 1
		b[i] = ' '
		for i--; i >= 0; i-- {
			b[i] = '0' + byte(v&7)
			v >>= 3
		}
		return
	}
	for i := len(b) - 1; i > 0; i-- {
		b[i] = byte(v)
		v >>= 8
	}
	b[0] = 0x80
}

// putTime writes seconds, and negative ones in GNU's way.
func putTime(b []byte, v int64) {
	if v >= 0 {
		putNumber(b, uint64(v))
		return
	}
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(v)
		v >>= 8
	}
}
