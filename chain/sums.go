package chain

import (
	"hash"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// summer computes the checksums of a backup's files, one file at a time.
type summer struct {
	ledger *manifest.Ledger // nil if nothing is compared
	hash   hash.Hash        // nil for no checksum
	sum    []byte           // of the file that ended
}

func (b *backup) summer() *summer {
	s := &summer{ledger: b.ledger}
	if s.ledger != nil {
		s.hash = s.ledger.Algorithm().New()
	}
	return s
}

// needed tells whether the content of files is compared with anything.
func (s *summer) needed() bool { return s.ledger != nil }

func (s *summer) begin() {
	if s.hash != nil {
		s.hash.Reset()
	}
}

func (s *summer) write(p []byte) {
	if s.hash != nil {
		s.hash.Write(p)
	}
}

// end notes a file for the comparison with the manifest.
func (s *summer) end(path string, size int64) error {
	if s.ledger == nil {
		return nil
	}
	if s.hash != nil {
		s.sum = s.hash.Sum(s.sum[:0])
	}
	return s.ledger.Add(path, size, s.sum)
}

// has tells whether it computes an algorithm's checksum.
func (s *summer) has(a manifest.ChecksumAlgorithm) bool {
	return s.ledger != nil && s.ledger.Algorithm() == a
}

// output passes files on to a Visitor and computes checksums if it wants them.
type output struct {
	v         tarstream.Visitor
	summer    Summer // nil if there is nobody to be told
	algorithm manifest.ChecksumAlgorithm
	hash      hash.Hash // nil = none
	hashing   bool
	known     bool // the checksum is given to end
	sum       []byte
}

func newOutput(v tarstream.Visitor, a manifest.ChecksumAlgorithm) *output {
	o := &output{v: v, algorithm: a}
	if s, ok := v.(Summer); ok {
		o.summer, o.hash = s, a.New()
	}
	return o
}

// begin begins a file; known says that its checksum will be given to end.
func (o *output) begin(h *tarstream.Header, known bool) error {
	o.known = known
	if o.hashing = o.hash != nil && !known; o.hashing {
		o.hash.Reset()
	}
	return o.v.Member(h)
}

// content passes content on.
func (o *output) content(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if o.hashing {
		o.hash.Write(p)
	}
	return o.v.Content(p)
}

// end ends a file. sum is its checksum if begin was told that it is known.
func (o *output) end(sum []byte) error {
	if o.summer != nil {
		switch {
		case o.hashing:
			o.sum = o.hash.Sum(o.sum[:0])
			sum = o.sum
		case !o.known:
			sum = nil
		}
		if err := o.summer.Sum(sum); err != nil {
			return err
		}
	}
	return o.v.EndMember()
}

// file passes on a file that is in memory.
func (o *output) file(h *tarstream.Header, content []byte) error {
	if err := o.begin(h, false); err != nil {
		return err
	}
	if err := o.content(content); err != nil {
		return err
	}
	return o.end(nil)
}
