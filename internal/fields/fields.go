// Package fields takes records of numbers and texts apart, as they are kept in journals
// and temporary files: numbers as varints, texts behind their length.
package fields

import "encoding/binary"

// AppendString adds a text behind its length.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decoder takes fields from the front of a record. When one does not make sense it and all
// after it are zero, and Bad says so.
type Decoder struct {
	rest []byte
	bad  bool
}

// NewDecoder begins with the first field of b, which must stay as it is.
func NewDecoder(b []byte) Decoder { return Decoder{rest: b} }

// Len is how many bytes are left.
func (d *Decoder) Len() int { return len(d.rest) }

// Bad tells whether a field did not make sense.
func (d *Decoder) Bad() bool { return d.bad }

// Fail says that a field does not make sense.
func (d *Decoder) Fail() { d.rest, d.bad = nil, true }

// Ended tells whether all fields made sense and none is left.
func (d *Decoder) Ended() bool {
	d.bad = d.bad || len(d.rest) > 0
	return !d.bad
}

// Uvarint takes a number that is never negative.
func (d *Decoder) Uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.Fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// Varint takes a number.
func (d *Decoder) Varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.Fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// Limited takes a number that makes no sense when it is more than most.
func (d *Decoder) Limited(most uint64) uint64 {
	n := d.Uvarint()
	if n > most {
		d.Fail()
		return 0
	}
	return n
}

// Bytes takes the next n bytes, which are those of the record; nil if there are fewer.
func (d *Decoder) Bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.Fail()
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// Byte takes one byte.
func (d *Decoder) Byte() byte {
	if b := d.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// Text takes a text.
func (d *Decoder) Text() string { return string(d.Bytes(d.Uvarint())) }
