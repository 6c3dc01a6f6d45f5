package pgdata_test

import (
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/pgdata"
)

func TestVersionFiles(t *testing.T) {
	for content, want := range map[string]struct {
		v           pgdata.Version
		major, wals string
	}{
		"9.5\n": {90500, "9.5", "pg_xlog"}, "9.6\n": {90600, "9.6", "pg_xlog"}, "9.6": {90600, "9.6", "pg_xlog"}, "8.0\n": {80000, "8.0", "pg_xlog"},
		"10\n": {100000, "10", "pg_wal"}, "18\r\n": {180000, "18", "pg_wal"}, "19": {190000, "19", "pg_wal"}, "20\n\n": {200000, "20", "pg_wal"},
	} {
		v, err := pgdata.ParseVersion([]byte(content))
		if err != nil || v != want.v || v.Major() != want.major || v.String() != want.major || v.WALDir() != want.wals {
			t.Errorf("%q is %d, %s, %s, %v", content, v, v.Major(), v.WALDir(), err)
		}
	}
	for _, content := range []string{"", "\n", "9\n", "9.\n", ".5", "10.1\n", "15.18", "0", "0.1.2", "015", "+15", "-1", "15 16", "15\n16", "1e1", "100", "９.5",
		"15" + strings.Repeat("\n", 100)} {
		if v, err := pgdata.ParseVersion([]byte(content)); err == nil {
			t.Errorf("%q is taken for %s", content, v)
		}
	}
	if got := pgdata.Version(0).String(); got != "unknown" {
		t.Error(got)
	}
	if got := pgdata.Version(150018).String(); got != "15" {
		t.Error(got)
	}
	if got := pgdata.Version(90603).Major(); got != "9.6" {
		t.Error(got)
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add([]byte("9.5\n"))
	f.Add([]byte("18\n"))
	f.Add([]byte("10.1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := pgdata.ParseVersion(b)
		if err != nil {
			return
		}
		if again, err := pgdata.ParseVersion([]byte(v.Major() + "\n")); err != nil || again != v {
			t.Fatalf("%q is %d, which is written as %s and read as %d, %v", b, v, v.Major(), again, err)
		}
	})
}
