package codec

// crcJoin returns the CRC-32 (IEEE) of what a and b are those of, one after the other; n is the length of the second, in bytes.
//
// A CRC is a polynomial over the field of two elements, modulo the CRC's own: n bytes behind it multiply it by x^(8n).
func crcJoin(a, b uint32, n int) uint32 {
	shift, power := uint32(crcOne), uint32(crcOne>>8) // x^0 and x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			shift = crcMultiply(shift, power)
		}
		power = crcMultiply(power, power)
	}
	return crcMultiply(a, shift) ^ b
}

const (
	crcOne        = 1 << 31    // the highest bit is that of x^0
	crcPolynomial = 0xedb88320 // without x^32
)

// crcMultiply multiplies modulo the CRC's polynomial.
func crcMultiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&crcOne != 0 {
			product ^= b
		}
		b = b>>1 ^ crcPolynomial&-(b&1)
	}
	return product
}
