package combine

import (
	"sync"
	"sync/atomic"
)

// meter adds up what is read, and reports now and then.
type meter struct {
	report func(Progress) // nil = nobody wants to know
	total  int64
	done   atomic.Int64

	mu    sync.Mutex // of shown, held during a report
	shown int64
}

// meterStep is how many bytes lie between two reports.
const meterStep = 1 << 20

func (m *meter) add(n int) {
	done := m.done.Add(int64(n))
	if m.report == nil || !m.mu.TryLock() {
		return // the next one will tell
	}
	defer m.mu.Unlock()
	if done-m.shown >= meterStep {
		m.shown = done
		m.report(Progress{Done: done, Total: max(m.total, done)})
	}
}

func (m *meter) finish() {
	if m.report != nil {
		done := m.done.Load()
		m.report(Progress{Done: done, Total: done, Finished: true})
	}
}
