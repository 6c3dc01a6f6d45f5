package walstream

import "io"

// Segment is a WAL segment that a Sink is asked to open.
type Segment struct {
	Name string // of the file, 24 digits
	Size int64  // bytes of a whole segment
	// Offset is where writing goes on in a segment of which the sink has the
	// bytes before, in bytes; 0 begins a new one, or the same one again.
	Offset int64
}

// A Sink stores segments, one at a time, each from front to back, and the small
// files beside them. Nothing is rewritten or read back.
//
// Its methods are called by one goroutine at a time, except Sync, which may be
// called while another goroutine is in any of the others. After an error a sink
// may be closed; OpenSegment alone may be called again after it failed.
type Sink interface {
	// OpenSegment begins to store a segment. The one before has been closed.
	OpenSegment(seg Segment) error

	// Write adds to the open segment, never more than its size. p is valid
	// during the call only. What it returned for counts as received.
	io.Writer

	// CloseSegment ends the open segment. If it has not all its bytes, the sink
	// either fills it up with zeroes or keeps it under a name that tells.
	CloseSegment() error

	// Sync makes everything durable that was written before the call. durable
	// is false if the sink cannot do or know that; then it returns at once.
	Sync() (durable bool, err error)

	// WriteFile stores a whole file: a timeline history that Exists denied, or
	// an empty archive status below "archive_status/". No segment is open.
	WriteFile(name string, content []byte) error

	// Exists tells whether the sink has a timeline history of that name.
	Exists(name string) (bool, error)
}
