// Package seeds makes a fuzz target fail when its committed inputs are missing.
package seeds

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Require fails the target unless testdata/fuzz, where the testing package looks
// for them, has at least n files for it. They are named for what they hold.
func Require(f *testing.F, n int) {
	f.Helper()
	if err := check(filepath.Join("testdata", "fuzz", f.Name()), n); err != nil {
		f.Fatal(err)
	}
}

func check(dir string, n int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the seeds are missing: %w", err)
	}
	if len(entries) < n {
		return fmt.Errorf("%d seeds are in %q, want at least %d", len(entries), dir, n)
	}
	return nil
}
