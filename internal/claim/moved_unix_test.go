//go:build unix

package claim_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
)

func TestADirectoryThatIsNotAtItsPathAnyMoreIsNamed(t *testing.T) {
	for want, move := range map[string]func(path string) error{
		"was moved or removed while it was filled": func(path string) error { return os.Rename(path, path+".moved") },
		"was replaced by another while it was filled": func(path string) error {
			return errors.Join(os.Rename(path, path+".moved"), os.Mkdir(path, 0o700))
		},
	} {
		path := filepath.Join(t.TempDir(), "d")
		var s claim.Set
		if err := s.Take("data", path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := move(path); err != nil {
			t.Fatal(err)
		}
		_, opened := s.Open(path)
		for what, err := range map[string]error{"open": opened, "sync": s.Sync(durable.NoSync), "sync what was written": s.SyncWritten(durable.Fsync)} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v, want that it %s", what, err, want)
			}
		}
		s.Release()
	}
}
