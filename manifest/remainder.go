package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/pgbasin/pgbasin/internal/fields"
)

type side uint8

const (
	sideManifest side = iota
	sideBackup
)

const (
	// waitingOverhead is about what a record takes besides its texts.
	waitingOverhead = 96

	partitionCount = 256
)

// remainder holds the records of both sides that have not met their
// counterparts. When they take too much memory, all of them move to the
// temporary file, divided by a hash of their paths, so that at the end a 256th
// of them at a time can be matched in memory.
type remainder struct {
	spill   *scratch
	waiting [2]map[string]waitingRecord
	memory  int // about what waiting takes
	limits  limits
	text    []byte

	seed       maphash.Seed
	partitions []partition // nil while all is in memory
}

type waitingRecord struct {
	size           int64
	checksumLength int64
	algorithm      ChecksumAlgorithm
	checksum       string
}

func (w waitingRecord) record(path []byte) record {
	return record{path: path, size: w.size, algorithm: w.algorithm, checksum: []byte(w.checksum), checksumLength: w.checksumLength}
}

// take removes the record that waits on side s for its counterpart in, compares
// the two, and returns whether there was one.
func (m *remainder) take(s side, in *record, v *verification) bool {
	w, ok := m.waiting[s][string(in.path)]
	if !ok {
		return false
	}
	delete(m.waiting[s], string(in.path))
	m.memory -= recordMemory(in.path, w.checksum)
	other := w.record(in.path)
	if s == sideManifest {
		v.compare(&other, in)
	} else {
		v.compare(in, &other)
	}
	return true
}

func recordMemory(path []byte, checksum string) int {
	return waitingOverhead + len(path) + len(checksum)
}

// add lets a record of side s wait.
func (m *remainder) add(s side, in *record, v *verification) error {
	m.put(s, in, v)
	if m.memory <= m.limits.waiting {
		return nil
	}
	return m.divide()
}

func (m *remainder) put(s side, in *record, v *verification) {
	if _, ok := m.waiting[s][string(in.path)]; ok {
		v.repeated(s, in.path)
		return
	}
	if m.waiting[s] == nil {
		m.waiting[s] = make(map[string]waitingRecord)
	}
	n := len(in.path)
	m.text = append(append(m.text[:0], in.path...), in.checksum...)
	text := string(m.text) // one allocation for both
	m.waiting[s][text[:n]] = waitingRecord{size: in.size, checksumLength: in.checksumLength, algorithm: in.algorithm, checksum: text[n:]}
	m.memory += recordMemory(in.path, text[n:])
}

// finish matches what is left and reports what has no counterpart.
func (m *remainder) finish(v *verification) error {
	if m.partitions == nil {
		m.report(v)
		return nil
	}
	if err := m.divide(); err != nil {
		return err
	}
	for i := range m.partitions {
		if err := m.match(&m.partitions[i], v); err != nil {
			return err
		}
		m.report(v)
	}
	return nil
}

// report reports all that waits in memory, and forgets it.
func (m *remainder) report(v *verification) {
	for s := range m.waiting {
		for path := range m.waiting[s] {
			v.unmatched(side(s), path)
		}
		clear(m.waiting[s])
	}
	m.memory = 0
}

// A partition is a share of the records, as pieces of the temporary file and
// what is to become the next piece.
type partition struct {
	pieces []piece
	buffer []byte
}

type piece struct {
	offset int64
	length int
}

// divide moves all that waits in memory to the partitions.
func (m *remainder) divide() error {
	if m.partitions == nil {
		m.partitions = make([]partition, partitionCount)
		m.seed = maphash.MakeSeed()
	}
	for s := range m.waiting {
		for path, w := range m.waiting[s] {
			// A seed that nobody knows keeps a manifest from being
			// written so that all of it goes to one partition.
			p := &m.partitions[maphash.String(m.seed, path)%partitionCount]
			p.buffer = append(p.buffer, byte(s))
			p.buffer = binary.AppendUvarint(p.buffer, uint64(len(path)))
			p.buffer = append(p.buffer, path...)
			p.buffer = binary.AppendUvarint(p.buffer, uint64(w.size))
			p.buffer = append(p.buffer, byte(w.algorithm))
			p.buffer = binary.AppendUvarint(p.buffer, uint64(w.checksumLength))
			p.buffer = append(p.buffer, byte(len(w.checksum)))
			p.buffer = append(p.buffer, w.checksum...)
			if len(p.buffer) < m.limits.piece {
				continue
			}
			offset, err := m.spill.write(p.buffer)
			if err != nil {
				return err
			}
			p.pieces = append(p.pieces, piece{offset, len(p.buffer)})
			p.buffer = p.buffer[:0]
		}
		clear(m.waiting[s])
	}
	m.memory = 0
	return nil
}

// match reads a partition and leaves in memory what has no counterpart.
func (m *remainder) match(p *partition, v *verification) error {
	var buf []byte
	for _, piece := range p.pieces {
		if cap(buf) < piece.length {
			buf = make([]byte, piece.length)
		}
		buf = buf[:piece.length]
		if _, err := m.spill.file.ReadAt(buf, piece.offset); err != nil {
			return fmt.Errorf("could not read temporary file: %w", noEOF(err))
		}
		if err := m.matchPiece(buf, v); err != nil {
			return err
		}
	}
	err := m.matchPiece(p.buffer, v)
	*p = partition{}
	return err
}

func (m *remainder) matchPiece(b []byte, v *verification) error {
	d := fields.NewDecoder(b)
	for d.Len() > 0 {
		s := side(d.Byte())
		var rec record
		rec.path = d.Bytes(d.Uvarint())
		rec.size = int64(d.Uvarint())
		rec.algorithm = ChecksumAlgorithm(d.Byte())
		rec.checksumLength = int64(d.Uvarint())
		rec.checksum = d.Bytes(uint64(d.Byte()))
		if d.Bad() || s > sideBackup {
			return fmt.Errorf("could not read temporary file: %w", errors.New("its contents have changed"))
		}
		if !m.take(1-s, &rec, v) {
			m.put(s, &rec, v)
		}
	}
	return nil
}
