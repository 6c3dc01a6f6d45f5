package manifest

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/tarstream"
)

// pass sends files to a visitor as an archive's parser does, and a directory and
// a link, which no manifest lists.
func pass(v tarstream.Visitor, files []string) error {
	for _, h := range []*tarstream.Header{
		{Name: "d", Type: tarstream.Directory},
		{Name: "pg_tblspc/1", Type: tarstream.Symlink, Linkname: "/x"},
	} {
		if err := tarstream.WriteFile(v, h, nil); err != nil {
			return err
		}
	}
	for _, name := range files {
		content := strings.Repeat(name, 100)
		h := &tarstream.Header{Name: name, Type: tarstream.Regular, Size: int64(len(content))}
		if err := v.Member(h); err != nil {
			return err
		}
		for len(content) > 0 {
			n := min(len(content), 77)
			if err := v.Content([]byte(content[:n])); err != nil {
				return err
			}
			content = content[n:]
		}
		if err := v.EndMember(); err != nil {
			return err
		}
	}
	return nil
}

func TestArchivesThatPassTogetherAreNotedWhole(t *testing.T) {
	for a := None; a <= SHA512; a++ {
		l := NewLedger(t.TempDir(), a)
		r := NewRecorder(l)
		prefixes := []string{"", "pg_tblspc/16385/", "pg_tblspc/16386/"}
		var names []string
		for i := range 300 {
			names = append(names, fmt.Sprintf("base/%d", i))
		}
		var wg sync.WaitGroup
		for _, prefix := range prefixes {
			wg.Go(func() {
				if err := pass(r.Archive(prefix), names); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()

		var objects []string
		var bytes int64
		for _, prefix := range prefixes {
			for _, name := range names {
				content := strings.Repeat(name, 100)
				object := fmt.Sprintf(`{ "Path": "%s%s", "Size": %d, "Last-Modified": "2026-01-31 12:00:00 GMT"`, prefix, name, len(content))
				if h := a.New(); h != nil {
					io.WriteString(h, content)
					object += fmt.Sprintf(`, "Checksum-Algorithm": "%v", "Checksum": "%x"`, a, h.Sum(nil))
				}
				objects = append(objects, object+" }")
				bytes += int64(len(content))
			}
		}
		if r.Files() != int64(len(objects)) || l.Files() != r.Files() || r.Bytes() != bytes {
			t.Errorf("%v: counted %d files, %d bytes; the ledger %d", a, r.Files(), r.Bytes(), l.Files())
		}
		if err := l.Verify(NewReader(strings.NewReader(listing(objects...)))); err != nil {
			t.Errorf("%v: %v", a, err)
		}
		l.Close()
	}
}

func TestRecorderWithoutALedgerOnlyCounts(t *testing.T) {
	r := NewRecorder(nil)
	if err := pass(r.Archive("x/"), []string{"a", "b"}); err != nil || r.Files() != 2 || r.Bytes() != 200 {
		t.Error(r.Files(), r.Bytes(), err)
	}
}

func TestRecorderPassesOnTheLedgersError(t *testing.T) {
	l := NewLedger(t.TempDir(), None)
	l.Close()
	if err := pass(NewRecorder(l).Archive(""), []string{"a"}); err == nil {
		t.Error("a closed ledger took a file")
	}
}

func TestWhatHasPassedIsTold(t *testing.T) {
	for _, ledger := range []*Ledger{nil, NewLedger(t.TempDir(), CRC32C)} {
		r := NewRecorder(ledger)
		var got []string
		r.Passed = func(path string, size int64, sum []byte) { got = append(got, fmt.Sprintf("%s %d %x", path, size, sum)) }
		a := r.Archive("pg_tblspc/1/")
		for _, h := range []*tarstream.Header{{Name: "d", Type: tarstream.Directory}, {Name: "f", Type: tarstream.Regular, Size: 9}} {
			content := []byte("123456789")[:h.Size]
			if err := tarstream.WriteFile(a, h, content); err != nil {
				t.Fatal(err)
			}
		}
		want := "pg_tblspc/1/f 9 "
		if ledger != nil {
			want += "839206e3" // the algorithm's check value, little-endian
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
