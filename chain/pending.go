package chain

import (
	"encoding/binary"
	"hash/maphash"
	"io"
)

// pending knows the files that wait for their whole version, by 16 bytes for
// each and what is in the temporary file.
type pending struct {
	temp  *scratch
	seed  maphash.Seed
	slots []slot // a hash table with open addressing; its length is a power of two
	used  int
	done  int
	buf   []byte
}

// slot is one file. at is where its record is, in the upper bits, whether it is
// done, and the number of the oldest backup that it was found in: see state.
type slot struct{ hash, state uint64 }

const (
	numberBits = 15
	doneBit    = 1 << numberBits
	freeSlot   = 0 // a record is never at 0
)

func newState(at int64, number int, done bool) uint64 {
	s := uint64(at)<<(numberBits+1) | uint64(number)
	if done {
		s |= doneBit
	}
	return s
}

func (s *slot) at() int64   { return int64(s.state >> (numberBits + 1)) }
func (s *slot) number() int { return int(s.state & (doneBit - 1)) }
func (s *slot) done() bool  { return s.state&doneBit != 0 }

func newPending(temp *scratch) (*pending, error) {
	// Nothing is at 0, which marks a free slot.
	_, err := temp.add([]byte{0})
	return &pending{temp: temp, seed: maphash.MakeSeed(), slots: make([]slot, 64)}, err
}

// waiting is how many files have no whole version yet.
func (p *pending) waiting() int { return p.used - p.done }

// find returns the slot of a path and reads its record; nil if there is none.
func (p *pending) find(path string, r *record) (*slot, error) {
	hash := maphash.String(p.seed, path)
	mask := uint64(len(p.slots) - 1)
	for i := hash & mask; p.slots[i].state != freeSlot; i = (i + 1) & mask {
		if p.slots[i].hash != hash {
			continue
		}
		if err := p.read(p.slots[i].at(), r); err != nil {
			return nil, err
		}
		if r.path == path {
			return &p.slots[i], nil
		}
	}
	return nil, nil
}

// add makes a slot for a path that has none.
func (p *pending) add(r *record, number int) error { return p.insert(r, number, false) }

// addDone makes one for a file that waits for nothing.
func (p *pending) addDone(r *record, number int) error {
	p.done++
	return p.insert(r, number, true)
}

func (p *pending) insert(r *record, number int, done bool) error {
	if 4*(p.used+1) > 3*len(p.slots) {
		p.grow()
	}
	at, err := p.write(r)
	if err != nil {
		return err
	}
	p.used++
	p.put(slot{maphash.String(p.seed, r.path), newState(at, number, done)})
	return nil
}

func (p *pending) put(s slot) {
	mask := uint64(len(p.slots) - 1)
	i := s.hash & mask
	for p.slots[i].state != freeSlot {
		i = (i + 1) & mask
	}
	p.slots[i] = s
}

func (p *pending) grow() {
	old := p.slots
	p.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.state != freeSlot {
			p.put(s)
		}
	}
}

// update notes that a file was found in an older backup; r is nil if nothing
// else is new.
func (p *pending) update(s *slot, r *record, number int) error {
	at := s.at()
	if r != nil {
		var err error
		if at, err = p.write(r); err != nil {
			return err
		}
	}
	s.state = newState(at, number, false)
	return nil
}

// finish notes that the whole version of a file was found.
func (p *pending) finish(s *slot, number int) {
	s.state = newState(s.at(), number, true)
	p.done++
}

// unfound returns the first path, in their order, that waits and was not found
// in a backup; "" if there is none.
func (p *pending) unfound(number int) (string, error) {
	first := ""
	r := record{plan: &plan{}}
	for i := range p.slots {
		s := &p.slots[i]
		if s.state == freeSlot || s.done() || s.number() == number {
			continue
		}
		if err := p.read(s.at(), &r); err != nil {
			return "", err
		}
		if first == "" || r.path < first {
			first = r.path
		}
	}
	return first, nil
}

func (p *pending) write(r *record) (int64, error) {
	p.buf = r.append(p.buf[:0])
	return p.temp.add(p.buf)
}

// firstRead is enough for the record of a file of which nothing changed.
const firstRead = 256

func (p *pending) read(at int64, r *record) error {
	if cap(p.buf) < firstRead {
		p.buf = make([]byte, firstRead)
	}
	n, err := p.temp.ReadAt(p.buf[:firstRead], at)
	if err != nil && err != io.EOF {
		return err
	}
	if n < 4 {
		return errRecord
	}
	size := 4 + int(binary.LittleEndian.Uint32(p.buf))
	if size > n {
		if cap(p.buf) < size {
			p.buf = make([]byte, size)
		}
		if m, err := p.temp.ReadAt(p.buf[:size], at); m < size {
			if err == nil || err == io.EOF {
				err = errRecord
			}
			return err
		}
	}
	return r.decode(p.buf[4:size])
}
