package manifest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
)

// contents is all that a Reader finds in a manifest.
type contents struct {
	version  int
	systemID uint64
	files    []File
	ranges   []WALRange
}

func readAll(src io.Reader) (contents, error) { return contentsOf(NewReader(src)) }

func contentsOf(r *Reader) (contents, error) {
	var c contents
	for r.Next() {
		c.files = append(c.files, r.File())
	}
	c.version, c.systemID, c.ranges = r.Version(), r.SystemIdentifier(), r.WALRanges()
	return c, r.Err()
}

// sealed adds the line with the right Manifest-Checksum to the lines before it.
func sealed(body string) string {
	return fmt.Sprintf("%s\"Manifest-Checksum\": \"%x\"}\n", body, sha256.Sum256([]byte(body)))
}

// realManifest reads a manifest that a server wrote.
func realManifest(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReaderReadsServersVersion1(t *testing.T) {
	b := realManifest(t, "postgresql-15.manifest.gz")
	got, err := readAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got.version != 1 || got.systemID != 0 {
		t.Errorf("version %d, system identifier %d; want 1 and 0", got.version, got.systemID)
	}
	if want := bytes.Count(b, []byte("ath\":")); len(got.files) != want {
		t.Errorf("%d files, want %d", len(got.files), want)
	}
	if want := (WALRange{1, 0x3000028, 0x3000100}); len(got.ranges) != 1 || got.ranges[0] != want {
		t.Errorf("WAL ranges %v, want %v", got.ranges, want)
	}
	want := File{"pg_tblspc/16384/PG_15_202209061/5/16385", 40960, "2026-11-22 08:01:04 GMT", CRC32C, []byte{0xff, 0x00, 0x8c, 0x62}}
	if fmt.Sprint(got.files[0]) != fmt.Sprint(want) {
		t.Errorf("first file %v, want %v", got.files[0], want)
	}
	paths := map[string]bool{}
	for _, f := range got.files {
		paths[f.Path] = true
	}
	for _, p := range []string{"l\xe4tin1", "tab\tquote\"back\\slash é", "global/pg_control"} {
		if !paths[p] {
			t.Errorf("no file %q", p)
		}
	}
}

func TestReaderReadsVersion2(t *testing.T) {
	m := sealed(`{ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 18446744073709551615,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-31 12:00:00 GMT" },
{ "Encoded-Path": "62617365", "Size": 9223372036854775807, "Last-Modified": "2026-01-31 12:00:00 GMT", "Checksum-Algorithm": "sha224", "Checksum": "0aFF" }
],
"WAL-Ranges": [
{ "Timeline": 4294967295, "Start-LSN": "16/B374D848", "End-LSN": "FFFFFFFF/FFFFFFFF" },
{ "Timeline": 1, "Start-LSN": "0/0", "End-LSN": "1/0" }
],
`)
	got, err := readAll(strings.NewReader(m))
	if err != nil {
		t.Fatal(err)
	}
	want := contents{2, 1<<64 - 1,
		[]File{{"PG_VERSION", 3, "2026-01-31 12:00:00 GMT", None, nil}, {"base", 1<<63 - 1, "2026-01-31 12:00:00 GMT", SHA224, []byte{0x0a, 0xff}}},
		[]WALRange{{1<<32 - 1, 0x16_B374D848, lsn.LSN(1<<64 - 1)}, {1, 0, 1 << 32}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestASelectionReadsAndChecksTheRestAsWell(t *testing.T) {
	b := realManifest(t, "postgresql-15.manifest.gz")
	all, err := readAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	below := func(path string) bool { return strings.HasPrefix(path, "global/") }
	var want []string
	for _, f := range all.files {
		if below(f.Path) {
			want = append(want, f.Path)
		}
	}
	read := func(b []byte) ([]string, error) {
		r := NewReader(bytes.NewReader(b))
		r.Select(below)
		c, err := contentsOf(r)
		var got []string
		for _, f := range c.files {
			got = append(got, f.Path)
		}
		return got, err
	}
	got, err := read(b)
	if err != nil || len(want) < 10 || len(want) == len(all.files) || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d files of %d, want %d: %v", len(got), len(all.files), len(want), err)
	}
	bad := bytes.Replace(b, []byte(`"Path": "PG_VERSION"`), []byte(`"Path": "PG_VERSIOM"`), 1)
	if _, err := read(bad); err == nil {
		t.Error("what was not selected is another one, and that is no error")
	}
}
