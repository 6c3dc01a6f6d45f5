package codec

import (
	"encoding/binary"
	"math/bits"
)

// xxh32 is the 32-bit xxHash with seed 0, the checksum of LZ4 frames (doc/xxhash_spec.md of the xxHash library). The zero value is
// ready for use.
type xxh32 struct {
	acc  [4]uint32
	size uint64
	mem  [16]byte // the last size%16 bytes
}

const (
	xxhPrime1 uint32 = 2654435761
	xxhPrime2 uint32 = 2246822519
	xxhPrime3 uint32 = 3266489917
	xxhPrime4 uint32 = 668265263
	xxhPrime5 uint32 = 374761393
)

func (h *xxh32) Write(p []byte) (int, error) {
	n := len(p)
	if h.size == 0 {
		p1, p2 := xxhPrime1, xxhPrime2 // variables, because the sums overflow
		h.acc = [4]uint32{p1 + p2, p2, 0, -p1}
	}
	if have := int(h.size % 16); have > 0 {
		m := copy(h.mem[have:], p)
		p = p[m:]
		if have+m == 16 {
			h.stripes(h.mem[:])
		}
	}
	whole := len(p) &^ 15
	h.stripes(p[:whole])
	if h.size += uint64(n); len(p) > whole {
		copy(h.mem[:], p[whole:])
	}
	return n, nil
}

// stripes takes in whole stripes of 16 bytes.
func (h *xxh32) stripes(p []byte) {
	a, b, c, d := h.acc[0], h.acc[1], h.acc[2], h.acc[3]
	for ; len(p) >= 16; p = p[16:] {
		a = bits.RotateLeft32(a+binary.LittleEndian.Uint32(p[0:])*xxhPrime2, 13) * xxhPrime1
		b = bits.RotateLeft32(b+binary.LittleEndian.Uint32(p[4:])*xxhPrime2, 13) * xxhPrime1
		c = bits.RotateLeft32(c+binary.LittleEndian.Uint32(p[8:])*xxhPrime2, 13) * xxhPrime1
		d = bits.RotateLeft32(d+binary.LittleEndian.Uint32(p[12:])*xxhPrime2, 13) * xxhPrime1
	}
	h.acc = [4]uint32{a, b, c, d}
}

func (h *xxh32) Sum32() uint32 {
	sum := xxhPrime5
	if h.size >= 16 {
		sum = bits.RotateLeft32(h.acc[0], 1) + bits.RotateLeft32(h.acc[1], 7) +
			bits.RotateLeft32(h.acc[2], 12) + bits.RotateLeft32(h.acc[3], 18)
	}
	sum += uint32(h.size)
	p := h.mem[:h.size%16]
	for ; len(p) >= 4; p = p[4:] {
		sum = bits.RotateLeft32(sum+binary.LittleEndian.Uint32(p)*xxhPrime3, 17) * xxhPrime4
	}
	for _, v := range p {
		sum = bits.RotateLeft32(sum+uint32(v)*xxhPrime5, 11) * xxhPrime1
	}
	sum ^= sum >> 15
	sum *= xxhPrime2
	sum ^= sum >> 13
	sum *= xxhPrime3
	return sum ^ sum>>16
}
