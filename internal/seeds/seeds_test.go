package seeds

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFewerSeedsThanThereWereAreAnError(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cut-off", "empty"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(dir, 2); err != nil {
		t.Error(err)
	}
	if check(dir, 3) == nil || check(filepath.Join(dir, "none"), 0) == nil {
		t.Error("missing seeds are not noticed")
	}
}
