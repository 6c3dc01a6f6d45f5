package prove

import (
	"encoding/binary"
	"slices"
	"testing"
)

// rolePage makes a page of pg_authid with the roles of a map from names to
// whether they are superusers who may log in, in the order of names.
func rolePage(names []string, super, oids bool) []byte {
	page := make([]byte, 8192)
	at := len(page)
	for i, name := range names {
		const header = 32
		size := header + 4 + 64 + 8
		at -= size
		tuple := page[at : at+size]
		tuple[22] = header
		columns := header + 4
		if oids {
			tuple[20] = 0x08
			columns = header
		}
		copy(tuple[columns:], name)
		if super {
			tuple[columns+64] = 1
		}
		tuple[columns+68] = 1
		binary.LittleEndian.PutUint32(page[24+4*i:], uint32(at)|1<<15|uint32(size)<<17)
	}
	binary.LittleEndian.PutUint16(page[12:], uint16(24+4*len(names)))
	return page
}

func TestSuperusersAreReadFromThePage(t *testing.T) {
	names := []string{"postgres", "the owner"}
	for _, oids := range []bool{false, true} {
		if got := superusersOnPage(rolePage(names, true, oids), 64); !slices.Equal(got, names) {
			t.Errorf("with OIDs %v: %q", oids, got)
		}
		if got := superusersOnPage(rolePage(names, false, oids), 64); got != nil {
			t.Errorf("with OIDs %v, no superusers: %q", oids, got)
		}
	}
}

func FuzzSuperusersOnPage(f *testing.F) {
	f.Add(rolePage([]string{"postgres"}, true, false))
	f.Add(rolePage([]string{"a", "b"}, true, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		page := make([]byte, 8192)
		copy(page, b)
		for _, name := range superusersOnPage(page, 64) {
			if name == "" || len(name) > 64 {
				t.Errorf("found %q", name)
			}
		}
	})
}
