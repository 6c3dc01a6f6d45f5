package backupset_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
)

// FuzzStandardInput opens anything as a backup: what is told of it must not
// depend on whether it was looked at before.
func FuzzStandardInput(f *testing.F) {
	whole := tarOf(f, member("backup_label", label), member("tablespace_map", "7 /srv\n"), member("base/1/1", strings.Repeat("x", 1000)), member("PG_VERSION", "15\n"))
	f.Add(whole)
	f.Add([]byte(gzipped(f, whole)))
	f.Add(whole[:900])
	f.Add(tarOf(f, member("data/PG_VERSION", "15\n"), member("other", "")))
	f.Add([]byte("PGDMP"))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(peeked bool) (contents, error) {
			s, err := backupset.Open("-", backupset.Options{Stdin: bytes.NewReader(b)})
			if err != nil {
				t.Fatal(err)
			}
			if peeked {
				s.Peek(context.Background())
			}
			c := &collector{into: contents{}}
			err = s.Read(context.Background(), s.Data(), c)
			return c.into, err
		}
		first, firstErr := read(false)
		second, secondErr := read(true)
		if (firstErr == nil) != (secondErr == nil) || len(first) != len(second) {
			t.Fatalf("%d members, %v; after a look %d members, %v", len(first), firstErr, len(second), secondErr)
		}
		s, err := backupset.Open("-", backupset.Options{Stdin: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Describe(context.Background()); err == nil && firstErr != nil && len(first) == 0 {
			t.Fatalf("described, but not read: %v", firstErr)
		}
	})
}
