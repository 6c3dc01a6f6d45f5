// Package peak measures the memory that something takes, for tests.
package peak

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// Heap is how many bytes the heap had at most while f ran, garbage that was not
// collected yet included, above what it had before. What runs beside f counts too.
func Heap(f func()) int64 {
	runtime.GC()
	base := heap()
	quit, result := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		peak := base
		for {
			peak = max(peak, heap())
			select {
			case <-tick.C:
			case <-quit:
				result <- max(peak, heap()) - base
				return
			}
		}
	}()
	f()
	close(quit)
	return <-result
}

func heap() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}
