package claim_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
)

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestWhatWasMadeIsRemovedAndWhatWasThereStays(t *testing.T) {
	root := t.TempDir()
	there := filepath.Join(root, "there")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(root, "a", "b", "c")
	var s claim.Set
	for _, path := range []string{there, made} {
		if err := s.Take("data", path, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(path, "file"))
	}
	if err := s.Sync(durable.Fsync); err != nil {
		t.Fatal(err)
	}
	var said []string
	s.Remove(func(m string) { said = append(said, m) })
	if exists(filepath.Join(root, "a")) || exists(filepath.Join(there, "file")) || !exists(there) {
		t.Error("not what was there before")
	}
	if got := strings.Join(said, "\n"); !strings.Contains(got, "removing contents of data directory") || !strings.Contains(got, "removing data directory") {
		t.Error(got)
	}
}

func TestADirectoryThatHoldsSomethingIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"))
	var s claim.Set
	var notEmpty *claim.NotEmptyError
	if err := s.Take("data", dir, 0o700); !errors.As(err, &notEmpty) || notEmpty.Path != dir {
		t.Fatal(err)
	}
	s.Remove(func(string) {})
	if !exists(filepath.Join(dir, "file")) {
		t.Error("the file is gone")
	}
}

func TestDebrisIsRemovedOnlyWhenItIsSaidToBeSome(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "debris"))
	s := claim.Set{Leftover: func(dir *os.Root) bool { return exists(filepath.Join(dir.Name(), "debris")) }}
	if err := s.Take("data", dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(dir, "debris")) {
		t.Error("the debris is still there")
	}
	s.Release()
	s.Spare = "debris"
	write(t, filepath.Join(dir, "debris"))
	write(t, filepath.Join(dir, "more"))
	if err := s.Take("data", dir, 0o700); err != nil || !exists(filepath.Join(dir, "debris")) || exists(filepath.Join(dir, "more")) {
		t.Error("not only what is spared is left", err)
	}
	s.Release()
	if err := os.Remove(filepath.Join(dir, "debris")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "precious"))
	if err := s.Take("data", dir, 0o700); err == nil || !exists(filepath.Join(dir, "precious")) {
		t.Error("taken", err)
	}
}

func TestWhatAKilledProbeLeftDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, claim.ProbePrefix+"1"))
	var s claim.Set
	if err := s.Take("data", dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(dir, claim.ProbePrefix+"1")) {
		t.Error("it is still there")
	}
}

func TestADirectoryIsTakenOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // there the second fails at the first file
	}
	dir := t.TempDir()
	var first, second claim.Set
	if err := first.Take("data", dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := second.Take("data", dir, 0o700); err == nil {
		t.Error("taken twice")
	}
	first.Keep(func(string) {})
	if err := second.Take("data", dir, 0o700); err != nil {
		t.Error(err)
	}
}
