package tarstream

import (
	"fmt"
	"io"
	"os"
)

// Writer makes an archive. Content is passed to the underlying writer as it
// comes, headers and padding in small writes between: buffer what makes a system
// call of each.
//
// It is also a Visitor. Errors stay.
type Writer struct {
	w     io.Writer
	marks Boundary // w, if it wants to know where members begin
	err   error

	name      string
	remaining int64 // bytes of the current member to come
	// small holds the padding that is due, then the next header, so that both
	// make one write.
	small [2 * BlockSize]byte
	due   int
}

// Boundary is what an io.Writer of archives can be, too: it is told where a member begins, before the first byte of that is written.
type Boundary interface {
	Boundary()
}

// NewWriter makes a Writer onto w, which may be a Boundary.
func NewWriter(w io.Writer) *Writer {
	marks, _ := w.(Boundary)
	return &Writer{w: w, marks: marks}
}

// WriteHeader begins a member of exactly h.Size bytes. The member before must
// be complete.
func (w *Writer) WriteHeader(h *Header) error {
	if err := w.memberDone(); err != nil {
		return err
	}
	if w.marks != nil {
		if err := w.put(w.small[:w.due]); err != nil {
			return err
		}
		w.marks.Boundary()
	}
	block, err := h.AppendHeader(w.small[:w.due])
	if err != nil {
		w.err = err
		return err
	}
	if err := w.put(block); err != nil {
		return err
	}
	w.name, w.remaining, w.due = h.Name, h.Size, paddingOf(h.Size)
	clear(w.small[:w.due])
	return nil
}

// Write writes content of the current member.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.remaining {
		w.err = fmt.Errorf("content of tar member %s is %d bytes longer than its header says",
			quote(w.name), int64(len(p))-w.remaining)
		return 0, w.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.w.Write(p)
	w.remaining -= int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
	return n, err
}

// Fill writes zeroes for what is missing of the current member.
func (w *Writer) Fill() error {
	for w.err == nil && w.remaining > 0 {
		w.Write(zeroes[:min(w.remaining, int64(len(zeroes)))])
	}
	return w.err
}

var zeroes [64 << 10]byte // only read

// Flush writes the padding of the current member, which must be complete. It is
// not needed before WriteHeader or Close.
func (w *Writer) Flush() error {
	if err := w.memberDone(); err != nil {
		return err
	}
	return w.put(w.small[:w.due])
}

// Close ends the archive with two zero blocks. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	if w.err == os.ErrClosed {
		return nil
	}
	if err := w.Flush(); err != nil {
		return err
	}
	clear(w.small[:])
	if err := w.put(w.small[:]); err != nil {
		return err
	}
	w.err = os.ErrClosed
	return nil
}

// put writes headers and padding; afterwards no padding is due.
func (w *Writer) put(p []byte) error {
	if len(p) > 0 {
		n, err := w.w.Write(p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		w.err = err
	}
	w.due = 0
	return w.err
}

func (w *Writer) memberDone() error {
	if w.err == nil && w.remaining > 0 {
		w.err = fmt.Errorf("content of tar member %s is %d bytes shorter than its header says", quote(w.name), w.remaining)
	}
	return w.err
}

// Member implements Visitor.
func (w *Writer) Member(h *Header) error { return w.WriteHeader(h) }

// Content implements Visitor.
func (w *Writer) Content(p []byte) error {
	_, err := w.Write(p)
	return err
}

// EndMember implements Visitor.
func (w *Writer) EndMember() error { return w.memberDone() }
