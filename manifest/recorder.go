package manifest

import (
	"hash"
	"sync/atomic"

	"github.com/pgbasin/pgbasin/tarstream"
)

// Recorder notes the files of a backup's archives in a Ledger as they pass.
type Recorder struct {
	// Passed, if set, is called with each file that has passed whole, below its
	// archive's prefix, and its checksum, which is valid during the call and nil
	// without a Ledger. Archives that pass at the same time call it so, too.
	Passed func(path string, size int64, checksum []byte)

	ledger *Ledger
	files  atomic.Int64
	bytes  atomic.Int64
}

// NewRecorder makes a Recorder for l, which stays the caller's to verify and to
// close. With nil it only counts.
func NewRecorder(l *Ledger) *Recorder { return &Recorder{ledger: l} }

// Archive returns a Visitor for one archive, whose files the manifest lists below
// prefix: "", or "pg_tblspc/16385/" for a tablespace. Each archive needs its own;
// several may pass at the same time.
//
// Every regular file is noted. One that the manifest never lists, such as one
// that the client put into the archive, is to be kept away (tarstream.Drop).
func (r *Recorder) Archive(prefix string) tarstream.Visitor {
	a := &recordedArchive{Recorder: r, prefix: prefix}
	if r.ledger != nil {
		a.hash = r.ledger.Algorithm().New()
	}
	return a
}

// Files is how many files have passed whole.
func (r *Recorder) Files() int64 { return r.files.Load() }

// Bytes is the size of those files.
func (r *Recorder) Bytes() int64 { return r.bytes.Load() }

type recordedArchive struct {
	*Recorder
	prefix string
	hash   hash.Hash // nil for checksums that are none
	sum    []byte
	name   string
	size   int64
	file   bool // the current member is a regular file
}

func (a *recordedArchive) Member(h *tarstream.Header) error {
	if a.file = h.Type == tarstream.Regular || h.Type == 0; a.file {
		a.name, a.size = h.Name, h.Size
		if a.hash != nil {
			a.hash.Reset()
		}
	}
	return nil
}

func (a *recordedArchive) Content(p []byte) error {
	if a.file && a.hash != nil {
		a.hash.Write(p)
	}
	return nil
}

func (a *recordedArchive) EndMember() error {
	if !a.file {
		return nil
	}
	a.files.Add(1)
	a.bytes.Add(a.size)
	if a.hash != nil {
		a.sum = a.hash.Sum(a.sum[:0])
	}
	if a.Passed != nil {
		a.Passed(a.prefix+a.name, a.size, a.sum)
	}
	if a.ledger == nil {
		return nil
	}
	return a.ledger.add(a.prefix, a.name, a.size, a.sum)
}
