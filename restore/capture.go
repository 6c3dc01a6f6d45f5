package restore

import (
	"bytes"
	"fmt"

	"github.com/pgbasin/pgbasin/tarstream"
)

// maxCaptured bounds what is kept of a small file, in bytes.
const maxCaptured = 16 << 20

// capture keeps the content of some files as they pass.
type capture struct {
	next  tarstream.Visitor
	files map[string]*captured

	current *captured // of the member that passes, if it is one of files
	name    string
}

// captured is a file of the backup.
type captured struct {
	content bytes.Buffer
	whole   bool // the file was there
}

func newCapture(next tarstream.Visitor, names ...string) *capture {
	c := &capture{next: next, files: map[string]*captured{}}
	for _, name := range names {
		c.files[name] = new(captured)
	}
	return c
}

// file returns the content of a file; ok is false if it did not pass.
func (c *capture) file(name string) (content []byte, ok bool) {
	f := c.files[name]
	return f.content.Bytes(), f.whole
}

func (c *capture) Member(h *tarstream.Header) error {
	c.current = nil
	if h.Type == tarstream.Regular {
		c.current, c.name = c.files[h.Name], h.Name
	}
	if c.current != nil && h.Size > maxCaptured {
		return fmt.Errorf("file %q has %d bytes, which is too large for what it should be", h.Name, h.Size)
	}
	return c.next.Member(h)
}

func (c *capture) Content(p []byte) error {
	if c.current != nil {
		c.current.content.Write(p)
	}
	return c.next.Content(p)
}

func (c *capture) EndMember() error {
	if c.current != nil {
		if c.current.whole {
			return fmt.Errorf("file %q is in the backup twice", c.name)
		}
		c.current.whole = true
		c.current = nil
	}
	return c.next.EndMember()
}
