//go:build unix

package prove

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWhatAServersUserPutInTheScratchDirectoryIsNotFollowed(t *testing.T) {
	s, err := newScratch(t.TempDir(), owner{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	elsewhere := t.TempDir()
	precious := filepath.Join(elsewhere, "postgresql.conf")
	if err := os.WriteFile(precious, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, s.configFile()); err != nil {
		t.Fatal(err)
	}
	if err := s.write(s.configFile(), "port = 1\n"); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(s.configFile()); err != nil || info.Mode() != 0o600 {
		t.Errorf("the configuration is %v, %v", info, err)
	}
	if err := os.RemoveAll(s.etc()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, s.etc()); err != nil {
		t.Fatal(err)
	}
	if err := s.write(s.configFile(), "port = 2\n"); err == nil {
		t.Error("written through a link in a directory's place")
	}
	if b, err := os.ReadFile(precious); string(b) != "precious" {
		t.Errorf("what the links lead to holds %q, %v", b, err)
	}
}

func TestAScratchDirectoryIsItsOwnersWhateverTheUmaskIs(t *testing.T) {
	old := syscall.Umask(0)
	s, err := newScratch(t.TempDir(), owner{})
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	err = filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
