package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestRenameReplacesAndNamesWhatFailed(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	from, to := filepath.Join(dir, "a.tmp"), filepath.Join(dir, "a")
	for _, f := range []struct{ path, text string }{{from, "new"}, {to, "old"}} {
		if err := os.WriteFile(f.path, []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rename(root, "a.tmp", "a"); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(to); string(got) != "new" {
		t.Errorf("after the rename %s holds %q", to, got)
	}
	if err := Rename(root, "a.tmp", "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renaming a missing file: %v", err)
	}
}

func TestPreallocateLeavesZeroes(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1<<20 + 17
	if err := Preallocate(f, size); err != nil {
		t.Fatal(err)
	}
	if err := Datasync(f); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil || len(got) != size {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, size)
	}
	for i, b := range got {
		if b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}

func TestSyncTreeMeetsEveryFileButFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/file"), []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	methods := []SyncMethod{Fsync, NoSync}
	if SyncfsSupported {
		methods = append(methods, Syncfs)
	}
	for _, m := range methods {
		if err := SyncTree(openRoot(t, dir), m); err != nil {
			t.Errorf("SyncTree(%v): %v", m, err)
		}
	}
}
