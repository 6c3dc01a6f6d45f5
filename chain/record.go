package chain

import (
	"encoding/binary"
	"errors"
	"time"
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
	b = appendString(b, r.path)
	b = appendString(b, r.name)
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

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime keeps a time to the nanosecond, whatever year it is.
func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

// decode reads a record into r, whose plan is filled.
func (r *record) decode(b []byte) error {
	d := decoder{rest: b}
	r.path, r.name = d.string(), d.string()
	r.mode, r.uid, r.gid, r.time = uint32(d.uvarint()), int(d.uvarint()), int(d.uvarint()), d.time()
	p := r.plan
	p.length, p.limit = uint32(d.uvarint()), uint32(d.uvarint())
	p.sources, p.extents = p.sources[:0], p.extents[:0]
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		p.sources = append(p.sources, source{sourceKind(d.uvarint()), int(d.uvarint()), int(d.uvarint()), int64(d.uvarint()), d.time()})
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		e := extent{uint32(d.uvarint()), uint32(d.uvarint()), int32(d.uvarint()), int64(d.uvarint())}
		p.extents = append(p.extents, e)
	}
	if d.bad || len(d.rest) > 0 {
		return errRecord
	}
	return nil
}

// decoder takes fields from the front of a record.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) time() time.Time {
	sec, size := binary.Varint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return time.Time{}
	}
	d.rest = d.rest[size:]
	return time.Unix(sec, int64(d.uvarint()))
}
