package verify

import "hash/crc32"

// combineCRC returns the CRC-32C of two pieces of data one after the other, from
// that of each and the length of the second in bytes. Appending n zero bits to
// data multiplies its CRC, as a polynomial over GF(2), by x^n.
func combineCRC(first, second uint32, length int64) uint32 {
	return multiply(power(uint64(length)*8), first) ^ second
}

// In a CRC the highest bit is the coefficient of x^0.
const one uint32 = 1 << 31

// multiply returns a * b modulo the Castagnoli polynomial.
func multiply(a, b uint32) uint32 {
	var product uint32
	for bit := one; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return product
}

// power returns x^n modulo the polynomial.
func power(n uint64) uint32 {
	result, square := one, one>>1
	for ; n != 0; n >>= 1 {
		if n&1 != 0 {
			result = multiply(result, square)
		}
		square = multiply(square, square)
	}
	return result
}
