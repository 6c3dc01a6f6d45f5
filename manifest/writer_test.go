package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
)

var writtenFiles = []manifest.File{
	{Path: "backup_label", Size: 227, ModTime: "2026-01-31 12:00:00 GMT", Algorithm: manifest.CRC32C, Checksum: []byte{1, 2, 3, 4}},
	{Path: "base/1/1259", Size: 1 << 33, ModTime: "2026-01-31 12:00:01 GMT", Algorithm: manifest.SHA256, Checksum: bytes.Repeat([]byte{0xab}, 32)},
	{Path: "without sum", Size: 0, ModTime: "2026-01-31 12:00:01 GMT"},
	{Path: "quote\"back\\slash\ttab\nline\x01\b\f\r", Size: 1, ModTime: "2026-01-31 12:00:01 GMT"},
	{Path: "umlaut-\u00e4", Size: 2, ModTime: "2026-01-31 12:00:01 GMT"},
	{Path: "latin-\xe4", Size: 3, ModTime: "2026-01-31 12:00:01 GMT"},
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	ranges := []manifest.WALRange{{Timeline: 1, Start: 0x2000028, End: 0x3000000}, {Timeline: 2, Start: 0x3000000, End: 0x1_00000120}}
	var b bytes.Buffer
	w := manifest.NewWriter(&b, 7412345678901234567)
	for _, f := range writtenFiles {
		if err := w.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(ranges); err != nil {
		t.Fatal(err)
	}
	r := manifest.NewReader(bytes.NewReader(b.Bytes()))
	var got []manifest.File
	for r.Next() {
		got = append(got, r.File())
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if fmt.Sprint(got) != fmt.Sprint(writtenFiles) {
		t.Errorf("read back %v\nwritten %v", got, writtenFiles)
	}
	if r.Version() != 2 || r.SystemIdentifier() != 7412345678901234567 || fmt.Sprint(r.WALRanges()) != fmt.Sprint(ranges) {
		t.Errorf("version %d, system %d, ranges %v", r.Version(), r.SystemIdentifier(), r.WALRanges())
	}
}

func TestManifestIsLaidOutAsTheServers(t *testing.T) {
	var b bytes.Buffer
	w := manifest.NewWriter(&b, 5)
	w.Add(writtenFiles[0])
	w.Add(writtenFiles[5])
	if err := w.Close([]manifest.WALRange{{Timeline: 1, Start: lsn.LSN(0x2000028), End: lsn.LSN(0x2000120)}}); err != nil {
		t.Fatal(err)
	}
	const want = `{ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 5,
"Files": [
{ "Path": "backup_label", "Size": 227, "Last-Modified": "2026-01-31 12:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "01020304" },
{ "Encoded-Path": "6c6174696e2de4", "Size": 3, "Last-Modified": "2026-01-31 12:00:01 GMT" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000120" }
],
"Manifest-Checksum": "`
	if !strings.HasPrefix(b.String(), want) || !strings.HasSuffix(b.String(), "\"}\n") {
		t.Errorf("written\n%s\nwanted\n%s", b.String(), want)
	}
}

func TestWriterRefusesWhatNoReaderTakes(t *testing.T) {
	for _, f := range []manifest.File{
		{Path: "../up"}, {Path: ""}, {Path: "a", Size: -1}, {Path: "a", Algorithm: manifest.CRC32C, Checksum: []byte{1}},
	} {
		w := manifest.NewWriter(new(bytes.Buffer), 1)
		if err := w.Add(f); err == nil {
			t.Errorf("%+v was listed", f)
		} else if w.Close(nil) != err {
			t.Errorf("%+v: the error did not stay", f)
		}
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestErrorsOfTheOutputStay(t *testing.T) {
	w := manifest.NewWriter(fullDisk{}, 1)
	if err := w.Close(nil); !errors.Is(err, errFull) {
		t.Errorf("closing gave %v", err)
	}
}

func TestModTimeIsUTC(t *testing.T) {
	at := time.Date(2026, 1, 31, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	if got := manifest.FormatModTime(at); got != "2026-01-31 12:00:00 GMT" {
		t.Errorf("got %q", got)
	}
}
