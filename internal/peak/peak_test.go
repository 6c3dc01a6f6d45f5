package peak

import "testing"

var kept []byte

func TestWhatIsAllocatedAndLetGoAgainCounts(t *testing.T) {
	n := Heap(func() {
		kept = make([]byte, 64<<20)
		kept = nil
	})
	if n < 64<<20 || n > 128<<20 {
		t.Errorf("%d bytes", n)
	}
	if n := Heap(func() {}); n > 16<<20 {
		t.Errorf("nothing takes %d bytes", n)
	}
}
