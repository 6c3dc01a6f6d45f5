package fields_test

import (
	"encoding/binary"
	"testing"

	"github.com/pgbasin/pgbasin/internal/fields"
)

func record() []byte {
	b := fields.AppendString(nil, "base/5/1249")
	b = binary.AppendUvarint(b, 1<<63)
	b = binary.AppendVarint(b, -5)
	return append(binary.AppendUvarint(b, 7), 'x', 'y', 'z')
}

func TestFieldsComeBackAsTheyWereAdded(t *testing.T) {
	d := fields.NewDecoder(record())
	if s := d.Text(); s != "base/5/1249" {
		t.Errorf("text %q", s)
	}
	if n := d.Uvarint(); n != 1<<63 {
		t.Errorf("number %d", n)
	}
	if n := d.Varint(); n != -5 {
		t.Errorf("signed number %d", n)
	}
	if n := d.Limited(7); n != 7 {
		t.Errorf("limited number %d", n)
	}
	if c := d.Byte(); c != 'x' {
		t.Errorf("byte %q", c)
	}
	if d.Len() != 2 || d.Bad() {
		t.Errorf("%d bytes are left, bad %v", d.Len(), d.Bad())
	}
	if b := d.Bytes(2); string(b) != "yz" || cap(b) != 2 || !d.Ended() {
		t.Errorf("bytes %q with room for %d, ended %v", b, cap(b), d.Ended())
	}
}

func TestWhatMakesNoSenseIsBadToTheEnd(t *testing.T) {
	whole := record()
	for n := range whole {
		d := fields.NewDecoder(whole[:n])
		d.Text()
		d.Uvarint()
		d.Varint()
		d.Limited(7)
		d.Bytes(3)
		if !d.Bad() || d.Ended() || d.Len() != 0 || d.Byte() != 0 || d.Text() != "" || d.Uvarint() != 0 {
			t.Errorf("the first %d bytes are taken for a record", n)
		}
	}
	for name, take := range map[string]func(*fields.Decoder){
		"a number over its limit": func(d *fields.Decoder) { d.Limited(10) },
		"a number of eleven bytes": func(d *fields.Decoder) {
			*d = fields.NewDecoder([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
			d.Uvarint()
		},
		"a text longer than memory": func(d *fields.Decoder) { *d = fields.NewDecoder(binary.AppendUvarint(nil, 1<<63)); d.Text() },
		"what is left":              func(d *fields.Decoder) { d.Ended() },
		"what the caller refuses":   func(d *fields.Decoder) { d.Fail() },
	} {
		d := fields.NewDecoder(whole)
		if take(&d); !d.Bad() {
			t.Errorf("%s is taken", name)
		}
	}
}
