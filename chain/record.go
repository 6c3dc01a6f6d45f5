package chain

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pgbasin/pgbasin/internal/fields"
)

// record is what the temporary file keeps of a file that waits for its whole
// version.
type record struct {
	path string // of the whole version
	name string // of the member in the newest backup's archive, for its place in the result
	mode uint32
	uid  int
	gid  int
	time time.Time // of last modification
	plan *plan
}

var errRecord = errors.New("could not read temporary file: its contents have changed")

// append encodes the record behind its length, which takes four bytes.
func (r *record) append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = fields.AppendString(b, r.path)
	b = fields.AppendString(b, r.name)
	b = binary.AppendUvarint(b, uint64(r.mode))
	b = binary.AppendUvarint(b, uint64(r.uid))
	b = binary.AppendUvarint(b, uint64(r.gid))
	b = appendTime(b, r.time)
	p := r.plan
	b = binary.AppendUvarint(b, uint64(p.length))
	b = binary.AppendUvarint(b, uint64(p.limit))
	b = binary.AppendUvarint(b, uint64(len(p.sources)))
	for _, s := range p.sources {
		b = append(b, byte(s.kind))
		b = binary.AppendUvarint(b, uint64(s.backup))
		b = binary.AppendUvarint(b, uint64(s.archive))
		b = binary.AppendUvarint(b, uint64(s.size))
		b = appendTime(b, s.modified)
	}
	b = binary.AppendUvarint(b, uint64(len(p.extents)))
	for _, e := range p.extents {
		b = binary.AppendUvarint(b, uint64(e.block))
		b = binary.AppendUvarint(b, uint64(e.count))
		b = binary.AppendUvarint(b, uint64(e.source))
		b = binary.AppendUvarint(b, uint64(e.at))
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// appendTime keeps a time to the nanosecond, whatever year it is.
func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

// decode reads a record into r, whose plan is filled.
func (r *record) decode(b []byte) error {
	d := fields.NewDecoder(b)
	r.path, r.name = d.Text(), d.Text()
	r.mode, r.uid, r.gid, r.time = uint32(d.Uvarint()), int(d.Uvarint()), int(d.Uvarint()), decodeTime(&d)
	p := r.plan
	p.length, p.limit = uint32(d.Uvarint()), uint32(d.Uvarint())
	p.sources, p.extents = p.sources[:0], p.extents[:0]
	for n := d.Uvarint(); n > 0 && !d.Bad(); n-- {
		p.sources = append(p.sources, source{sourceKind(d.Uvarint()), int(d.Uvarint()), int(d.Uvarint()), int64(d.Uvarint()), decodeTime(&d)})
	}
	for n := d.Uvarint(); n > 0 && !d.Bad(); n-- {
		e := extent{uint32(d.Uvarint()), uint32(d.Uvarint()), int32(d.Uvarint()), int64(d.Uvarint())}
		p.extents = append(p.extents, e)
	}
	if !d.Ended() {
		return errRecord
	}
	return nil
}

func decodeTime(d *fields.Decoder) time.Time {
	sec := d.Varint()
	return time.Unix(sec, int64(d.Uvarint()))
}
