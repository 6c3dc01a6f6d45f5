package codec

import "math/bits"

// Entries of the decoding tables are looked up by the next bits of the stream. For a symbol they hold:
//
//	bits 0-7    how many bits to take: the code and the extra bits behind it
//	bits 8-11   how many of them are the code
//	bits 16-30  a literal, or the length or distance without the extra bits
//	bit 31      isLiteral
//
// and for what needs a second look-up, with isOther: bits 0-7 the bits to take, 8-11 the bits to look at then, 16-30 where the second
// table begins. The end of a block and codes that mean nothing are isOther, too.
const (
	isLiteral  = 1 << 31
	isOther    = 1 << 15
	isEndBlock = 1 << 14
	isInvalid  = 1 << 13
)

const (
	maxCodeBits  = 15
	litTableBits = 11
	disTableBits = 8
	preTableBits = 7
	// The largest tables that complete codes of 288, 32 and 19 symbols need, second tables included (zlib's enough.c computes them).
	litTableSize = 2342
	disTableSize = 402
	preTableSize = 1 << preTableBits
)

// symbols are the entries of an alphabet without the bits of the code.
var litSymbols, disSymbols, preSymbols = func() (lit [288]uint32, dis [32]uint32, pre [19]uint32) {
	for i := range 256 {
		lit[i] = isLiteral | uint32(i)<<16
	}
	lit[256] = isOther | isEndBlock
	// RFC 1951, 3.2.5.
	length, extra := uint32(3), uint32(0)
	for i := 257; i < 285; i++ {
		if i >= 265 && (i-265)%4 == 0 {
			extra++
		}
		lit[i] = length<<16 | extra
		length += 1 << extra
	}
	lit[285] = 258 << 16
	lit[286], lit[287] = isOther|isInvalid, isOther|isInvalid
	distance := uint32(1)
	extra = 0
	for i := range 30 {
		if i >= 4 && i%2 == 0 {
			extra++
		}
		dis[i] = distance<<16 | extra
		distance += 1 << extra
	}
	dis[30], dis[31] = isOther|isInvalid, isOther|isInvalid
	for i := range pre {
		pre[i] = uint32(i) << 16
	}
	return lit, dis, pre
}()

// buildTable makes the table of a code that is given by the lengths of its symbols. It refuses lengths that are too many for
// a code, or too few, but for a single one of one bit or none at all, as RFC 1951 allows for distances. What means nothing is isInvalid.
func buildTable(table []uint32, tableBits uint, lengths []uint8, symbols []uint32) bool {
	var count [maxCodeBits + 1]int
	for _, n := range lengths {
		count[n]++
	}
	longest := maxCodeBits
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	left := 1
	for n := 1; n <= maxCodeBits; n++ {
		if left = left<<1 - count[n]; left < 0 {
			return false
		}
	}
	if left > 0 {
		if longest > 1 {
			return false
		}
		for i := range table[:1<<tableBits] {
			table[i] = isOther | isInvalid
		}
	}
	var next [maxCodeBits + 1]uint16 // the next code of each length
	for n := 1; n < maxCodeBits; n++ {
		next[n+1] = (next[n] + uint16(count[n])) << 1
	}
	// Codes in their order, so that those which share the bits of the first look-up come one after the other.
	var order [288]uint16
	var at [maxCodeBits + 2]int
	for n := 1; n <= maxCodeBits; n++ {
		at[n+1] = at[n] + count[n]
	}
	for symbol, n := range lengths {
		if n > 0 {
			order[at[n]] = uint16(symbol)
			at[n]++
		}
	}
	used := 1 << tableBits
	var second []uint32
	secondBits, secondFor := uint(0), -1
	for _, symbol := range order[:at[maxCodeBits]] {
		n := uint(lengths[symbol])
		code := uint(bits.Reverse16(next[n])) >> (16 - n)
		next[n]++
		if n <= tableBits {
			e := entry(symbols[symbol], n)
			for i := code; i < 1<<tableBits; i += 1 << n {
				table[i] = e
			}
			continue
		}
		if first := int(code & (1<<tableBits - 1)); first != secondFor {
			secondFor = first
			// As large as what is left of the codes that begin alike.
			secondBits = n - tableBits
			for room := 1<<secondBits - count[n]; room > 0 && secondBits+tableBits < uint(longest); {
				secondBits++
				room = room<<1 - count[secondBits+tableBits]
			}
			second = table[used:][:1<<secondBits]
			table[first] = isOther | uint32(used)<<16 | uint32(secondBits)<<8 | uint32(tableBits)
			used += 1 << secondBits
		}
		e := entry(symbols[symbol], n-tableBits)
		for i := code >> tableBits; i < 1<<secondBits; i += 1 << (n - tableBits) {
			second[i] = e
		}
		count[n]--
	}
	return true
}

// entry adds the bits of the code to a symbol's.
func entry(symbol uint32, n uint) uint32 { return symbol + uint32(n)<<8 + uint32(n) }
