package swaptest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/internal/swaptest"
)

func TestALinkTakesTheDirectorysPlace(t *testing.T) {
	path, elsewhere := filepath.Join(t.TempDir(), "d"), t.TempDir()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	taken, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	swaptest.Swap(t, path, elsewhere)
	if to, err := os.Readlink(path); err != nil || to != elsewhere {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if moved, err := os.Lstat(path + swaptest.Moved); err != nil || !os.SameFile(moved, taken) {
		t.Errorf("the directory is %v, %v", moved, err)
	}
}
