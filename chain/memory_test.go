package chain_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/tarstream"
)

// weigher looks at the memory in use when the last member comes.
type weigher struct {
	discard
	used int64
}

func (w *weigher) Member(h *tarstream.Header) error {
	if h.Name == "global/pg_control" {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.used = int64(m.HeapAlloc)
	}
	return nil
}

// weigh is the memory that a chain of n files without changes has in use at its
// end.
func weigh(t *testing.T, n int) int64 {
	paths := func() []string {
		full, stubs, again := map[string][]byte{}, map[string][]byte{}, map[string][]byte{}
		for i := range n {
			full[fmt.Sprintf("base/5/%d", i)] = nil
			stubs[fmt.Sprintf("base/5/INCREMENTAL.%d", i)] = changed(0, nil)
			again[fmt.Sprintf("base/5/INCREMENTAL.%d", i)] = changed(uint32(i%2), nil)
		}
		return store(t, series(full, stubs, again), tarForm(codec.Zstd))
	}()
	c, err := chain.Open(context.Background(), paths, readOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := &weigher{}
	if err := c.Read(context.Background(), c.Last().Data(), w); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w.used
}

func TestMemoryHardlyGrowsWithTheNumberOfFiles(t *testing.T) {
	const few, many = 1000, 21000
	base := weigh(t, few)
	// Three ledgers take about 25 bytes for a file, up to 2 MiB each.
	if grown := weigh(t, many) - base; grown > (50+3*25)*(many-few) {
		t.Errorf("%d bytes for each file", grown/(many-few))
	}
}
