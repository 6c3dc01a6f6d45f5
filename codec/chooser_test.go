package codec

import (
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// postings are what an index of few values consists of: the places of the rows that have the same value.
func postings(n int) []byte {
	const values, rowsPerPage = 1000, 81
	b := make([]byte, 0, n)
	for value := 0; ; value++ {
		for row := value; row < 4_000_000; row += values {
			if len(b)+6 > n {
				return b
			}
			page := uint32(row / rowsPerPage)
			b = binary.LittleEndian.AppendUint16(b, uint16(page>>16))
			b = binary.LittleEndian.AppendUint16(b, uint16(page))
			b = binary.LittleEndian.AppendUint16(b, uint16(row%rowsPerPage)+1)
		}
	}
}

func TestDefaultLevelOfZstdTakesTheEncoderThatSuitsTheData(t *testing.T) {
	encoder := func(l zstd.EncoderLevel) zstdEncoder {
		e, err := zstdLevel(l, zstdBlock)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	chooser := &chooser{fast: encoder(zstd.SpeedFastest), thorough: encoder(zstd.SpeedDefault), worth: zstdWorth}
	for _, test := range []struct {
		name string
		data []byte
		fast bool
	}{
		{"heap", pages(zstdBlock), true},
		{"index of few values", postings(zstdBlock), false},
		{"less than is worth a trial", pages(100_000), false},
	} {
		if got, err := chooser.prefersFast(test.data); got != test.fast || err != nil {
			t.Errorf("%s: prefers the fast one: %v, %v, want %v", test.name, got, err, test.fast)
		}
		size := func(e blockEncoder) int {
			out, err := e.encode(nil, &block{buf: test.data})
			if err != nil {
				t.Fatal(err)
			}
			return len(out)
		}
		fast, thorough, chosen := size(chooser.fast), size(chooser.thorough), size(chooser)
		if best := min(fast, thorough); chosen*100 > best*105 {
			t.Errorf("%s: %d bytes, with one encoder %d, with the other %d", test.name, chosen, fast, thorough)
		}
	}
}
