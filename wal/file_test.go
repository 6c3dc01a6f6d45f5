package wal_test

import (
	"testing"

	"github.com/pgbasin/pgbasin/wal"
)

const size = 16 << 20

func TestNamesInArchivesAreTakenApart(t *testing.T) {
	const n = "0000000200000003000000AB"
	base := wal.File{Timeline: 2, Segment: 0x3AB}
	for name, want := range map[string]wal.File{
		n:                  base,
		n + ".partial":     {Timeline: 2, Segment: 0x3AB, Partial: true},
		n + ".gz":          {Timeline: 2, Segment: 0x3AB, Compression: ".gz"},
		n + ".lz4":         {Timeline: 2, Segment: 0x3AB, Compression: ".lz4"},
		n + ".zst":         {Timeline: 2, Segment: 0x3AB, Compression: ".zst"},
		n + ".gz.partial":  {Timeline: 2, Segment: 0x3AB, Compression: ".gz", Partial: true},
		n + ".lz4.partial": {Timeline: 2, Segment: 0x3AB, Compression: ".lz4", Partial: true},
		n + ".zst.partial": {Timeline: 2, Segment: 0x3AB, Compression: ".zst", Partial: true},
	} {
		got, ok := wal.ParseFileName(name, size)
		if !ok || got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
		if back := got.Name(size); back != name {
			t.Errorf("%s: came back as %s", name, back)
		}
	}
	for _, name := range []string{
		"", "00000002.history", n[:23], n + "0", n + ".bz2", n + ".partial.gz", n + ".partial.partial", n + ".gz.partial.new",
		n + ".00000028.backup", "0000000200000003000001AB", "0000000200000003000000ab", "000000000000000300000001", "." + n,
	} {
		if got, ok := wal.ParseFileName(name, size); ok {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

func FuzzParseFileName(f *testing.F) {
	f.Add("0000000200000003000000AB.gz.partial", 24)
	f.Add("0000000200000003000000AB", 20)
	f.Add("00000002.history", 30)
	f.Fuzz(func(t *testing.T, name string, shift int) {
		n := int64(1) << (20 + uint(shift)%11)
		if got, ok := wal.ParseFileName(name, n); ok && got.Name(n) != name {
			t.Errorf("%q is %+v, which is %q", name, got, got.Name(n))
		}
	})
}
