package verify

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestCRCsOfPartsAreThatOfTheWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 100000)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	for range 300 {
		whole := data[:random.IntN(len(data)+1)]
		cut := random.IntN(len(whole) + 1)
		first, second := crc32.Checksum(whole[:cut], castagnoli), crc32.Checksum(whole[cut:], castagnoli)
		if got, want := combineCRC(first, second, int64(len(whole)-cut)), crc32.Checksum(whole, castagnoli); got != want {
			t.Fatalf("%d and %d bytes: %08x, want %08x", cut, len(whole)-cut, got, want)
		}
	}
}

func TestCRCOfZerosBeyondFourGiB(t *testing.T) {
	// Twice as many zeros behind is the same as the zeros twice.
	const n = 5 << 30
	zeros := func(crc uint32, n int64) uint32 { return combineCRC(crc, 0, n) }
	if a, b := zeros(zeros(0x12345678, n), n), zeros(0x12345678, 2*n); a != b {
		t.Errorf("%08x and %08x", a, b)
	}
}
