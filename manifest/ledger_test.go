package manifest

import (
	"bytes"
	"testing"
)

func TestLedgerAgreesWithServersManifest(t *testing.T) {
	b := realManifest(t, "postgresql-15.manifest.gz")
	c, err := readAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	l := NewLedger(t.TempDir(), CRC32C)
	defer l.Close()
	for _, f := range c.files {
		if err := l.Add(f.Path, f.Size, f.Checksum); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Verify(NewReader(bytes.NewReader(b))); err != nil {
		t.Fatal(err)
	}
}
