package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/journal"
)

const kind = "test 1"

// written makes a journal with these records.
func written(t testing.TB, records ...string) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal")
	w, err := journal.Create(path, kind, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Add([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

// read returns the records, where the last one ends, and the error, nil at the end.
func read(content []byte) (records []string, end int64, err error) {
	r := journal.NewReader(bytes.NewReader(content), "the journal", kind)
	for {
		b, err := r.Next()
		if err == io.EOF {
			return records, r.End(), nil
		}
		if err != nil {
			return records, r.End(), err
		}
		records = append(records, string(b))
	}
}

// Records with zeroes at their ends are what is hardest to tell from zeroes behind them.
var records = []string{"first", "\x00", "zeroes\x00\x00\x00", strings.Repeat("long", 300), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "x"}

// ends are where the records end, and the first line.
func ends(t *testing.T, content []byte) []int64 {
	t.Helper()
	r := journal.NewReader(bytes.NewReader(content), "", kind)
	var at []int64
	for {
		_, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, r.End())
	}
	return at
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	_, content := written(t, records...)
	got, end, err := read(content)
	if err != nil || !slices.Equal(got, records) || end != int64(len(content)) {
		t.Errorf("%q, to %d of %d, %v", got, end, len(content), err)
	}
}

// Whatever a crash leaves of the last writes, all records before are there, and nothing
// else is.
func TestAJournalThatIsCutOffAnywhereEndsWithItsLastWholeRecord(t *testing.T) {
	_, content := written(t, records...)
	at := ends(t, content)
	for n := range len(content) + 1 {
		whole := 0
		for whole < len(at) && at[whole] <= int64(n) {
			whole++
		}
		for name, tail := range map[string][]byte{"cut off": nil, "a zero": {0}, "zeroes": make([]byte, 5000), "as many zeroes": make([]byte, len(content)-n)} {
			got, end, err := read(append(bytes.Clone(content[:n]), tail...))
			if err != nil || !slices.Equal(got, records[:whole]) {
				t.Fatalf("%s at byte %d: %d records, %v; want %d", name, n, len(got), err, whole)
			}
			if whole > 0 && end != at[whole-1] {
				t.Fatalf("%s at byte %d: ends at %d, want %d", name, n, end, at[whole-1])
			}
		}
	}
}

// Nothing that a crash does not do is taken for the end.
func TestEveryFlippedBitIsDamage(t *testing.T) {
	_, content := written(t, records...)
	at := ends(t, content)
	for bit := range 8 * len(content) {
		content[bit/8] ^= 1 << (bit % 8)
		got, _, err := read(content)
		content[bit/8] ^= 1 << (bit % 8)
		before := 0
		for before < len(at) && at[before] <= int64(bit/8) {
			before++
		}
		var damaged *journal.DamagedError
		if !errors.As(err, &damaged) || len(got) > before {
			t.Fatalf("bit %d: %d records, %v; want an error and at most %d", bit, len(got), err, before)
		}
		if before > 0 && damaged.Offset != at[before-1] || !strings.Contains(damaged.Error(), fmt.Sprintf(`"the journal" is damaged at byte %d`, damaged.Offset)) {
			t.Fatalf("bit %d: %v", bit, damaged)
		}
	}
}

func TestZeroesInTheMiddleAreDamage(t *testing.T) {
	_, content := written(t, records...)
	at := ends(t, content)
	for i := range at[:len(at)-1] {
		// A page that did not reach the disk, before one that did.
		holed := bytes.Clone(content)
		clear(holed[at[i]:at[i+1]])
		got, _, err := read(holed)
		if i == len(at)-2 {
			if err != nil || len(got) != len(records)-1 {
				t.Errorf("zeroes at the end: %d records, %v", len(got), err)
			}
			continue
		}
		var damaged *journal.DamagedError
		if !errors.As(err, &damaged) || damaged.Offset != at[i] {
			t.Errorf("zeroes in place of record %d: %v", i+1, err)
		}
	}
}

func TestAJournalIsGoneOnWithBehindItsLastWholeRecord(t *testing.T) {
	for name, tail := range map[string]string{"whole": "", "torn": "\x07\x00\x00", "zeroes": strings.Repeat("\x00", 100)} {
		path, content := written(t, "one", "two")
		if err := os.WriteFile(path, append(content, tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		_, end, err := read(append(content, tail...))
		if err != nil {
			t.Fatal(err)
		}
		w, err := journal.Append(path, end)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Add([]byte("three")), w.Sync(), w.Close()); err != nil {
			t.Fatal(err)
		}
		content, err = os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := read(content); err != nil || !slices.Equal(got, []string{"one", "two", "three"}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestWhatIsNoJournalOfTheKindIsDamaged(t *testing.T) {
	_, content := written(t, "one")
	for name, b := range map[string][]byte{
		"another kind": bytes.Replace(content, []byte(kind), []byte("test 2"), 1),
		"a script":     []byte("#!/bin/sh\necho\n"),
	} {
		var damaged *journal.DamagedError
		if got, _, err := read(b); !errors.As(err, &damaged) || damaged.Offset != 0 || len(got) > 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestNoJournalIsOverwritten(t *testing.T) {
	path, _ := written(t, "one")
	if w, err := journal.Create(path, kind, 0o600); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v, %v", w, err)
	}
}

func TestRecordsHaveALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for _, size := range []int{0, journal.MaxRecord + 1} {
		os.Remove(path)
		w, err := journal.Create(path, kind, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if w.Add(make([]byte, size)) == nil || w.Add([]byte("x")) == nil {
			t.Errorf("a record of %d bytes is taken, or forgotten", size)
		}
		w.Close()
	}
}

func TestErrorsOfReadingAreNoDamage(t *testing.T) {
	_, content := written(t, "one", "two")
	broken := errors.New("broken")
	for n := range content {
		r := journal.NewReader(io.MultiReader(bytes.NewReader(content[:n]), failing{broken}), "the journal", kind)
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), `could not read journal "the journal"`) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Whatever the file holds, what is read is what can be appended to.
func FuzzReader(f *testing.F) {
	_, content := written(f, records...)
	f.Add(content)
	f.Add(content[:len(content)-3])
	f.Add(append(bytes.Clone(content), make([]byte, 50)...))
	f.Add([]byte("pgbasin journal: test 1\n\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, end, err := read(content)
		if end > int64(len(content)) {
			t.Fatalf("ends at %d of %d", end, len(content))
		}
		if err != nil {
			return
		}
		again, endAgain, err := read(content[:end])
		if err != nil || !slices.Equal(again, got) || endAgain != end {
			t.Errorf("%d records and %v, then %d", len(got), err, len(again))
		}
	})
}
