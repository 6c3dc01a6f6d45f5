package basebackup

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"os"

	"github.com/pgbasin/pgbasin/internal/journal"
	"github.com/pgbasin/pgbasin/manifest"
)

var (
	someAttempt = attempt{
		systemID: 1<<63 + 5, major: 18, timeline: 3, start: 0x1_0000_0028, blockSize: 8192, algorithm: manifest.CRC32C, slot: "mine",
		places: []place{{"", "", "/backups/b", "/backups"}, {"pg_wal", "", "/wal", ""}, {"pg_tblspc/16385", "/srv/ü\n", "/here", "/here"}},
	}
	someFile = arrival{path: "base/5/16384.1", size: 1 << 30, modTime: -5, newest: 0x2_0000_0000, checksum: []byte{0, 1, 2, 0}}
)

// journalOf is a journal with these records.
func journalOf(t testing.TB, records ...[]byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	w, err := journal.Create(path, journalKind, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read makes a stock of a journal.
func stockOf(b []byte) (*stock, error) {
	s := &stock{index: map[string]int32{}}
	var err error
	s.end, err = readJournal(bytes.NewReader(b), "the journal", s)
	return s, err
}

func file(path string, sum byte) *arrival {
	return &arrival{path: path, size: 8192, checksum: []byte{sum, 0, 0, 0}}
}

func TestTheJournalKeepsWhatItWasTold(t *testing.T) {
	s, err := stockOf(journalOf(t, someAttempt.record(), someFile.record()))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.attempts) != 1 || !reflect.DeepEqual(s.attempts[0], someAttempt) {
		t.Errorf("%+v", s.attempts)
	}
	if k := s.get(someFile.path); k == nil || !reflect.DeepEqual(k.arrival, someFile) {
		t.Errorf("%+v", k)
	}
}

func TestLaterRecordsOfAFileSupersedeEarlierOnes(t *testing.T) {
	second := someAttempt
	second.start++
	s, err := stockOf(journalOf(t, someAttempt.record(),
		file("base/1/1", 1).record(), file("base/1/2", 1).record(), file("base/1/3", 1).record(), file("base/1/4", 1).record(),
		second.record(), file("base/1/1", 2).record(), forgetRecord("base/1/2"), forgetRecord("base/1/3"), file("base/1/3", 3).record(), forgetRecord("base/1/9"),
	))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	s.each(func(k *kept) error { got += fmt.Sprintf("%s:%d:%d ", k.path, k.checksum[0], k.attempt); return nil })
	if want := "base/1/1:2:1 base/1/4:1:0 base/1/3:3:1 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r := s.reference(); r.start != someAttempt.start || s.bytes() != 3*8192 {
		t.Errorf("%v, %d bytes", r.start, s.bytes())
	}
	delete(s.index, "base/1/4")
	if r := s.reference(); r.start != second.start {
		t.Errorf("without a file of the first attempt: %v", r.start)
	}
	s.index = nil
	if r := s.reference(); r != nil {
		t.Errorf("without any file: %v", r.start)
	}
}

func TestRecordsThatMakeNoSenseAreErrors(t *testing.T) {
	other := someAttempt
	other.systemID++
	none := someAttempt
	none.algorithm = manifest.None
	long := someFile
	long.checksum = make([]byte, 5)
	elsewhere, negative := someFile, someFile
	elsewhere.path, negative.size = "../../etc/16384", -1
	attempt := someAttempt.record()
	for name, records := range map[string][][]byte{
		"a file before any attempt":     {someFile.record()},
		"an attempt at another cluster": {attempt, other.record()},
		"no checksums":                  {none.record()},
		"a checksum of another length":  {attempt, long.record()},
		"a file that comes whole":       {attempt, (&arrival{path: "base/1/1_fsm", checksum: make([]byte, 4)}).record()},
		"a file elsewhere":              {attempt, elsewhere.record()},
		"a negative size":               {attempt, negative.record()},
		"an unknown kind":               {attempt, []byte("?")},
		"half an attempt":               {attempt[:len(attempt)/2]},
		"more than an attempt":          {append(bytes.Clone(attempt), 0)},
		"half a file":                   {attempt, someFile.record()[:9]},
		"half a name":                   {attempt, forgetRecord("base/1/1")[:4]},
	} {
		if _, err := stockOf(journalOf(t, records...)); !errors.Is(err, errRecord) || !strings.HasPrefix(err.Error(), `journal "the journal", before byte `) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a journal's records hold, nothing but relation files is taken from it, and what
// is taken can be written and read again.
func FuzzJournal(f *testing.F) {
	f.Add(someAttempt.record(), someFile.record())
	f.Add(someAttempt.record(), forgetRecord(someFile.path))
	f.Add([]byte{recordAttempt, 1, 2, 3}, []byte{recordFile, 255})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if len(first) == 0 || len(second) == 0 || len(first)+len(second) > 4096 {
			return
		}
		s, err := stockOf(journalOf(t, first, second))
		if err != nil {
			return
		}
		records := [][]byte{}
		for i := range s.attempts {
			records = append(records, s.attempts[i].record())
		}
		s.each(func(k *kept) error {
			if !comesInBlocks(k.path) || strings.Contains(k.path, "..") {
				t.Errorf("file %q", k.path)
			}
			records = append(records, k.arrival.record())
			return nil
		})
		again, err := stockOf(journalOf(t, records...))
		if err != nil || len(again.index) != len(s.index) || !reflect.DeepEqual(again.attempts, s.attempts) {
			t.Errorf("%v: %d files, want %d", err, len(again.index), len(s.index))
		}
	})
}
