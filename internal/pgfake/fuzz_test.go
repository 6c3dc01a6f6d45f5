package pgfake

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func FuzzRecordReader(f *testing.F) {
	f.Add([]byte("S\x00\x00\x00\x01NC\x00\x00\x00\x05X\x00\x00\x00\x04"))
	f.Add([]byte("S\x00\x00\x00\x05N"))
	f.Add([]byte("C\xff\xff\xff\xff"))
	f.Add([]byte("?"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &recordReader{r: bytes.NewReader(b)}
		var again []byte
		for {
			rec, err := r.next()
			if err == io.EOF {
				if !bytes.Equal(again, b) {
					t.Errorf("read %q of %q", again, b)
				}
				return
			}
			if err != nil {
				return
			}
			direction := byte('S')
			if rec.fromClient {
				direction = 'C'
			}
			n := len(rec.data)
			again = append(append(again, direction, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), rec.data...)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"IDENTIFY_SYSTEM", "BASE_BACKUP LABEL 'it''s' PROGRESS MAX_RATE 32", "BASE_BACKUP (LABEL 'x', WAIT 0, \"a\"\"b\" c)",
		"START_REPLICATION SLOT \"s\" 0/1000000 TIMELINE 1", "SHOW a.b;", "CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL (RESERVE_WAL)",
		"'", "\"\"", "99999999999", "1/", "(((", "BASE_BACKUP (",
	} {
		f.Add(150000, s)
		f.Add(90500, s)
	}
	f.Fuzz(func(t *testing.T, version int, s string) {
		cmd, err := parse(version, s)
		var r *refusal
		if (cmd == nil) == (err == nil) || err != nil && (!errors.As(err, &r) || len(r.sqlstate) != 5) {
			t.Errorf("parse(%d, %q) = %v, %v", version, s, cmd, err)
		}
	})
}

func TestVersionNumbers(t *testing.T) {
	for s, want := range map[string]int{
		"9.1.24": 90124, "9.5.3": 90503, "9.6": 90600, "10.23": 100023, "15.18 (Debian 15.18-0)": 150018, "19devel": 190000, "19rc1": 190000, "19beta2": 190000, "": 0, "x": 0,
	} {
		if got := versionNumber(s); got != want {
			t.Errorf("versionNumber(%q) = %d, want %d", s, got, want)
		}
	}
}
