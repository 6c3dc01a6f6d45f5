package manifest_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/pgbasin/pgbasin/manifest"
)

const arriving = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-31 12:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "8a744722" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
],
"Manifest-Checksum": "5cc3175a8c995fff5a8415df9853b86aa1e67475a908c85e8363b895660b6b1f"}
`

func ExampleReader() {
	r := manifest.NewReader(strings.NewReader(arriving))
	for r.Next() {
		f := r.File()
		fmt.Printf("%s %d %v %x\n", f.Path, f.Size, f.Algorithm, f.Checksum)
	}
	if err := r.Err(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.WALRanges()[0].Start)
	// Output:
	// PG_VERSION 3 CRC32C 8a744722
	// 0/2000028
}

func ExampleLedger() {
	l := manifest.NewLedger(os.TempDir(), manifest.DefaultChecksumAlgorithm)
	defer l.Close()

	// Every file of the backup, while it passes.
	h := l.Algorithm().New()
	size, err := io.Copy(h, strings.NewReader("16\n"))
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Add("PG_VERSION", size, h.Sum(nil)); err != nil {
		log.Fatal(err)
	}

	// Then the manifest, which is kept as it is while it is compared.
	var kept strings.Builder
	err = l.Verify(manifest.NewReader(io.TeeReader(strings.NewReader(arriving), &kept)))
	fmt.Println(err)
	fmt.Println(kept.String() == arriving)
	// Output:
	// checksum mismatch for file "PG_VERSION"
	// true
}
