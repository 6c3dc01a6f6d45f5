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

// What an earlier process has left is taken with all that is in it, and given up like
// what this one made.
func TestADirectoryThatWasLeftIsTakenOver(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b")
	var first claim.Set
	if err := first.Take("data", dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "file"))
	made := first.Made(dir)
	if made != filepath.Join(root, "a") || first.Made(root) != "" {
		t.Errorf("made %q and %q", made, first.Made(root))
	}
	var second claim.Set
	if err := second.TakeOver("data", dir, made); err == nil && runtime.GOOS != "windows" {
		t.Error("a directory in use was taken over")
	}
	first.Release()
	second = claim.Set{}
	if err := second.TakeOver("data", dir, ""); err != nil {
		t.Fatal(err)
	}
	second.Adopt(dir, made)
	if second.Made(dir) != made || !exists(filepath.Join(dir, "file")) {
		t.Errorf("made %q", second.Made(dir))
	}
	second.Remove(func(string) {})
	if exists(filepath.Join(root, "a")) || !exists(root) {
		t.Error("not what was there before")
	}
	if err := second.TakeOver("data", dir, ""); !errors.Is(err, os.ErrNotExist) && runtime.GOOS != "windows" {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestOneOfSeveralDirectoriesIsDropped(t *testing.T) {
	root := t.TempDir()
	one, two, there := filepath.Join(root, "a", "one"), filepath.Join(root, "a", "two"), filepath.Join(root, "there")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	var s claim.Set
	defer s.Release()
	for _, path := range []string{one, two, there} {
		if err := s.Take("tablespace", path, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(path, "file"))
	}
	// The first was made together with what is above both.
	for _, path := range []string{one, there} {
		if err := s.Drop(path); err != nil {
			t.Fatal(err)
		}
	}
	if exists(one) || !exists(filepath.Join(two, "file")) || !exists(there) || exists(filepath.Join(there, "file")) {
		t.Error("not just what was dropped is gone")
	}
	if err := s.Drop(one); err != nil || s.Made(one) != "" {
		t.Errorf("%v, %q", err, s.Made(one))
	}
}
