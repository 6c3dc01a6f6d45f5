//go:build linux

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/wal"
)

// What the server archives is there and complete, and an archive that is away
// for a while misses nothing.
func TestMatrixContinuousArchiving(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		l.rows(t, 3)
		l.archiveAll(t)
		l.compare(t)

		failed := l.failures(t)
		away := l.archive + ".away"
		if err := os.Rename(l.archive, away); err != nil {
			t.Fatal(err)
		}
		l.switchWAL(t)
		eventually(t, "the server notices", func() bool { return l.failures(t) > failed })
		l.says(t, `could not archive "pg_wal/`, `could not access WAL archive "`+l.archive+`": No such file or directory`)
		missed := l.switchWAL(t)
		if err := os.Rename(away, l.archive); err != nil {
			t.Fatal(err)
		}
		// The server tries again when there is more to archive, or in a minute.
		l.archiveAll(t)
		if !exists(filepath.Join(l.archive, missed)) {
			t.Errorf("%s was forgotten", missed)
		}
		l.compare(t)

		l.refusesOther(t)
		l.archiveAll(t)
		l.compare(t)
	})
}

// refusesOther puts a file into the archive under the name of the segment that
// the server archives next.
func (l *lab) refusesOther(t *testing.T) {
	t.Helper()
	failed := l.failures(t)
	var name, other string
	l.still(func() {
		name = l.QueryString(t, "select pg_walfile_name(pg_current_wal_lsn())")
		other = filepath.Join(l.archive, name)
		if err := os.WriteFile(other, make([]byte, wal.DefaultSegmentSize), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := l.switchWAL(t); got != name {
			t.Fatalf("switched %s, not %s", got, name)
		}
	})
	eventually(t, "the server notices", func() bool { return l.failures(t) > failed })
	l.says(t, `"pg_wal/`+name+`" is archived already as "`+other+`" with other content: they differ at byte 0`)
	if info, err := os.Stat(other); err != nil || info.Size() != wal.DefaultSegmentSize {
		t.Errorf("the other file was changed: %v, %v", info, err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
}

// says waits until the server's log has a line with all of the words.
func (l *lab) says(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, strings.Join(words, " "), func() bool {
		for line := range strings.Lines(l.Log()) {
			if all(line, words) {
				return true
			}
		}
		return false
	})
}

func all(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
