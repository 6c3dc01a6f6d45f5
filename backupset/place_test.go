package backupset

import "testing"

func TestTheDataDirectoryIsFoundByTheNamesOfItsMembers(t *testing.T) {
	for _, c := range []struct {
		name      string
		directory bool
		prefix    string
		found     bool
	}{
		{"backup_label", false, "", true},
		{"PG_VERSION", false, "", true},
		{"base", true, "", false},
		{"base/1", true, "", true},
		{"base/1/PG_VERSION", false, "", true},
		{"base/PG_VERSION", false, "base", true},
		{"base/base", true, "", false},
		{"base/global/pg_control", false, "base", true},
		{"data5445", true, "", false},
		{"data5445/PG_VERSION", false, "data5445", true},
		{"data5445/base", true, "", false},
		{"data5445/pg_wal", true, "data5445", true},
		{"data5445/base/1/PG_VERSION", false, "data5445", true},
		{"data5445/pg_log/x", false, "", false},
		{"var/lib/postgresql/15/main/pg_xact", true, "var/lib/postgresql/15/main", true},
		{"var/lib/base/base/1", true, "var/lib/base", true},
		{"var/lib/base/pg_wal/1", false, "var/lib/base", true},
		{"pg_replslot/base/state", false, "", true},
		{"notes", false, "", false},
		{"notes/base.txt", false, "", false},
		{"pg_tblspc/16384/PG_15_202209061/5/PG_VERSION", false, "", true},
		{"", false, "", false},
	} {
		p, found := placeOf(c.name, c.directory)
		if p.prefix != c.prefix || found != c.found {
			t.Errorf("%q: %q, %v, want %q, %v", c.name, p.prefix, found, c.prefix, c.found)
		}
	}
}

func TestNamesBelowAPlace(t *testing.T) {
	for _, c := range []struct {
		prefix, name, rel string
		ok                bool
	}{
		{"", "base/1", "base/1", true},
		{"", ".", "", true},
		{"data", "data", "", true},
		{"data", "data/base", "base", true},
		{"data", "database", "", false},
		{"a/b", "a", "", true},
		{"a/b", "a/b", "", true},
		{"a/b", "a/bc", "", false},
		{"a/b", "a/c", "", false},
		{"a/b", "x", "", false},
	} {
		if rel, ok := (place{c.prefix}).rel(c.name); rel != c.rel || ok != c.ok {
			t.Errorf("%q below %q: %q, %v", c.name, c.prefix, rel, ok)
		}
	}
}

func FuzzPlaceOf(f *testing.F) {
	f.Add("data5445/base/1/PG_VERSION", false)
	f.Add("base", true)
	f.Add("a/b/c/../base", true)
	f.Fuzz(func(t *testing.T, name string, directory bool) {
		p, found := placeOf(name, directory)
		if !found && p.prefix != "" {
			t.Fatalf("%q: %q was not found", name, p.prefix)
		}
		if _, ok := p.rel(name); found && !ok {
			t.Fatalf("%q is not below the place %q that it told", name, p.prefix)
		}
	})
}
