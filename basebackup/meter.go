package basebackup

import (
	"io"

	"github.com/pgbasin/pgbasin/replproto"
)

// meter counts what arrives on the main connection and shows it as progress.
type meter struct {
	observe  func(Progress)
	progress Progress
	received int64 // bytes of archives and manifest
	kept     int64 // bytes that earlier attempts brought, which are done already
	// reported is set where the server says how far it is (15 and later); else
	// what was received is what is done.
	reported bool
	manifest bool // what arrives now is the manifest, which no estimate covers
}

// most is as much as the server is believed, in bytes: one can compute with it.
const most = 1 << 56

// begin takes the estimate from the list of tablespaces.
func (m *meter) begin(b *replproto.BaseBackup, reported bool) {
	m.reported = reported
	m.progress.Tablespaces = len(b.Tablespaces)
	for _, t := range b.Tablespaces {
		m.progress.Total = min(m.progress.Total+max(t.Size, 0), most)
	}
	b.OnProgress = func(done int64) {
		m.progress.Done = min(max(m.kept+done, 0), most)
		m.milestone()
	}
}

func (m *meter) count(n int) {
	m.received += int64(n)
	if !m.reported && !m.manifest {
		m.progress.Done += int64(n)
	}
	m.show()
}

func (m *meter) file(name string) {
	m.progress.File = name
}

func (m *meter) tablespaceDone() {
	m.progress.Tablespace++
	m.milestone()
}

func (m *meter) finished() {
	m.progress.Finished, m.progress.File = true, ""
	m.milestone()
}

func (m *meter) milestone() {
	m.progress.Milestone = true
	m.show()
	m.progress.Milestone = false
}

func (m *meter) show() {
	if m.observe != nil {
		m.observe(m.progress)
	}
}

// writer counts what passes to w, before w takes it.
func (m *meter) writer(w io.Writer) io.Writer { return &meteredWriter{m, w} }

type meteredWriter struct {
	m *meter
	w io.Writer
}

func (w *meteredWriter) Write(p []byte) (int, error) {
	w.m.count(len(p))
	return w.w.Write(p)
}

// reader counts what is read from r.
func (m *meter) reader(r io.Reader) io.Reader { return &meteredReader{m, r} }

type meteredReader struct {
	m *meter
	r io.Reader
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.m.count(n)
	return n, err
}
