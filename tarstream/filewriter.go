package tarstream

import (
	"os"

	"github.com/pgbasin/pgbasin/internal/durable"
)

const (
	// gather is how much of a file is collected for one write when it comes in
	// small pieces.
	gather = durable.WriteSize
	// direct is the size from which a piece is worth a write of its own.
	direct = gather / 2
	// writebackStep is how much of a large file is written before the operating
	// system is asked to begin with it. Smaller files are left to the sync.
	writebackStep = 8 << 20
)

// fileWriter writes one file after the other, in few and large writes.
type fileWriter struct {
	buf       []byte // gathered; its memory is reused
	writeback bool
	written   int64
	hinted    int64 // how far write-back was asked for
}

func (w *fileWriter) begin() {
	w.buf = w.buf[:0]
	w.written, w.hinted = 0, 0
}

// write takes the next piece of the file; nothing stays in the buffer after the
// last one.
func (w *fileWriter) write(f *os.File, p []byte, last bool) error {
	if len(w.buf) == 0 && (last || len(p) >= direct) {
		return w.put(f, p)
	}
	if w.buf == nil {
		w.buf = make([]byte, 0, gather)
	}
	if len(p) < direct {
		n := min(len(p), gather-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
	}
	if len(w.buf) == gather || len(p) > 0 || last {
		if err := w.put(f, w.buf); err != nil {
			return err
		}
		w.buf = w.buf[:0]
	}
	switch {
	case len(p) == 0:
		return nil
	case last || len(p) >= direct:
		return w.put(f, p)
	}
	w.buf = append(w.buf, p...)
	return nil
}

func (w *fileWriter) put(f *os.File, p []byte) error {
	n, err := durable.Write(f, p)
	w.written += int64(n)
	if err == nil && w.writeback && w.written-w.hinted >= writebackStep {
		durable.StartWriteback(f, w.hinted, w.written-w.hinted)
		w.hinted = w.written
	}
	return err
}

// end asks for write-back of the rest of a large file.
func (w *fileWriter) end(f *os.File) {
	if w.writeback && w.hinted > 0 && w.written > w.hinted {
		durable.StartWriteback(f, w.hinted, w.written-w.hinted)
	}
}
