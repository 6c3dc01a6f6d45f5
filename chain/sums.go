package chain

import (
	"hash"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// summer computes the checksums of a file of one backup, one for each of its
// ledgers.
type summer struct {
	b      *backup
	hashes []hash.Hash // nil for no checksum
	sums   [][]byte
}

func (b *backup) summer() *summer {
	s := &summer{b: b}
	for _, l := range b.ledgers {
		s.hashes = append(s.hashes, l.Algorithm().New())
		s.sums = append(s.sums, nil)
	}
	return s
}

// needed tells whether the content of files is compared with anything.
func (s *summer) needed() bool { return len(s.hashes) > 0 }

func (s *summer) begin() {
	for _, h := range s.hashes {
		if h != nil {
			h.Reset()
		}
	}
}

func (s *summer) write(p []byte) {
	for _, h := range s.hashes {
		if h != nil {
			h.Write(p)
		}
	}
}

// end notes a file for the comparison with the manifest.
func (s *summer) end(path string, size int64) error {
	for i, l := range s.b.ledgers {
		if s.hashes[i] != nil {
			s.sums[i] = s.hashes[i].Sum(s.sums[i][:0])
		}
		if err := l.Add(path, size, s.sums[i]); err != nil {
			return err
		}
	}
	return nil
}

// sum is the checksum by an algorithm after end, nil if it was not computed.
func (s *summer) sum(a manifest.ChecksumAlgorithm) []byte {
	for i, l := range s.b.ledgers {
		if l.Algorithm() == a {
			return s.sums[i]
		}
	}
	return nil
}

// has tells whether it computes an algorithm's checksum.
func (s *summer) has(a manifest.ChecksumAlgorithm) bool {
	for _, l := range s.b.ledgers {
		if l.Algorithm() == a {
			return true
		}
	}
	return false
}

// output passes files on to a Visitor and computes checksums if it wants them.
type output struct {
	v         tarstream.Visitor
	summer    Summer // nil if there is nobody to be told
	algorithm manifest.ChecksumAlgorithm
	hash      hash.Hash // nil = none
	hashing   bool
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

// end ends a file, with its checksum if that is known.
func (o *output) end(sum []byte) error {
	if o.summer != nil {
		if o.hashing {
			o.sum = o.hash.Sum(o.sum[:0])
			sum = o.sum
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
