package restore

import (
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/tarstream"
)

// meter counts what all archives bring, and tells the observer.
type meter struct {
	report func(Progress)

	mu   sync.Mutex
	p    Progress
	last time.Time
}

// meterInterval is how often progress is reported while data flows.
const meterInterval = 100 * time.Millisecond

func newMeter(report func(Progress), total int64, archives int) *meter {
	return &meter{report: report, p: Progress{Total: total, Archives: archives}}
}

// visitor counts one archive on its way to next.
func (m *meter) visitor(dir string, next tarstream.Visitor) tarstream.Visitor {
	if m.report == nil {
		return next
	}
	return &metered{Visitor: next, meter: m, dir: dir}
}

type metered struct {
	tarstream.Visitor
	meter *meter
	dir   string
	file  string
}

func (v *metered) Member(h *tarstream.Header) error {
	v.file = v.dir + "/" + h.Name
	return v.Visitor.Member(h)
}

func (v *metered) Content(p []byte) error {
	v.meter.add(int64(len(p)), v.file)
	return v.Visitor.Content(p)
}

func (m *meter) add(n int64, file string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Done += n
	m.p.File = file
	if now := time.Now(); now.Sub(m.last) >= meterInterval {
		m.last = now
		m.report(m.p)
	}
}

func (m *meter) archiveDone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Archive++
	if m.report != nil {
		m.report(m.p)
	}
}

func (m *meter) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Finished, m.p.File = true, ""
	if m.report != nil {
		m.report(m.p)
	}
}
