package verify

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// plainChecksum computes the same from the description, one number at a time.
func plainChecksum(page []byte, block uint32) uint16 {
	var sums [columns]uint32
	copy(sums[:], offsetBasis[:])
	words := make([]uint32, len(page)/4+2*columns)
	for i := range len(page) / 4 {
		words[i] = binary.LittleEndian.Uint32(page[4*i:])
	}
	words[2] &= 0xffff0000
	for i, w := range words {
		t := sums[i%columns] ^ w
		sums[i%columns] = t*prime ^ t>>17
	}
	var all uint32
	for _, s := range sums {
		all ^= s
	}
	return uint16((all^block)%65535 + 1)
}

func TestPageChecksumIsThatOfTheDescription(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{1024, 8192, 32768} {
		page := make([]byte, size)
		for i := range page {
			page[i] = byte(random.Uint32())
		}
		for _, block := range []uint32{0, 1, 131072, 1<<32 - 1} {
			if got, want := pageChecksum(page, block), plainChecksum(page, block); got != want {
				t.Errorf("%d bytes, block %d: %04x, want %04x", size, block, got, want)
			}
		}
		before := pageChecksum(page, 7)
		page[pageSumOffset] ^= 0xff
		page[pageSumOffset+1] ^= 0xff
		if pageChecksum(page, 7) != before {
			t.Error("the checksum depends on the checksum")
		}
		for _, at := range []int{0, 7, 10, 12, 20, size / 2, size - 1} {
			page[at] ^= 1
			if pageChecksum(page, 7) == before {
				t.Errorf("a bit at %d makes no difference", at)
			}
			page[at] ^= 1
		}
	}
}

func BenchmarkPageChecksum(b *testing.B) {
	page := make([]byte, 8192)
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		pageChecksum(page, 1)
	}
}
