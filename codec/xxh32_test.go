package codec

import (
	"strings"
	"testing"
)

// The sums are what the lz4 command ends a frame of the data with.
func TestXXH32(t *testing.T) {
	for _, c := range []struct {
		data string
		sum  uint32
	}{
		{"", 0x02cc5d05},
		{"a", 0x550d7456},
		{"abc", 0x32d153ff},
		{"0123456789abcdef", 0xc2c45b69},
		{strings.Repeat("0123456789", 10), 0xf0f82db6},
	} {
		for step := 1; step <= len(c.data)+1; step++ {
			var h xxh32
			for rest := c.data; rest != ""; {
				n := min(step, len(rest))
				h.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if got := h.Sum32(); got != c.sum {
				t.Errorf("%q in steps of %d: %#x, want %#x", c.data, step, got, c.sum)
			}
		}
	}
}
