package tempfile_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/tempfile"
)

func TestNothingIsLeftOfATemporaryFile(t *testing.T) {
	dir := t.TempDir()
	f, err := tempfile.Create(dir, "x-*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("content"), 3); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 7)
	if _, err := f.ReadAt(b, 3); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestEnvironmentIsNotAskedForADirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if f, err := tempfile.Create("", "x-*"); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("%v, %v", f, err)
	}
}
