package basebackup

import "encoding/binary"

// encoder makes a journal's record: numbers as uvarints, texts with their length in
// front.
type encoder []byte

func (e *encoder) number(n uint64) { *e = binary.AppendUvarint(*e, n) }

func (e *encoder) text(s string) {
	e.number(uint64(len(s)))
	*e = append(*e, s...)
}

// decoder takes a record apart. What is wrong with it is noted in bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) limited(most uint64) uint64 {
	n := d.number()
	if n > most {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) text() string {
	n := d.limited(uint64(len(d.b)))
	if n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// ended tells whether all of the record made sense and nothing is left of it.
func (d *decoder) ended() bool {
	d.bad = d.bad || len(d.b) > 0
	return !d.bad
}
