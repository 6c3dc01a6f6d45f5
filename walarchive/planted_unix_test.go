//go:build unix

package walarchive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/swaptest"
)

func TestWhatIsPlantedInAnArchiveIsNeitherFollowedNorWaitedFor(t *testing.T) {
	name := segmentName(1, 5)
	content := makeSegment(1, 5, "new")
	from := writeFile(t, t.TempDir(), name, content)
	precious := writeFile(t, t.TempDir(), "precious", []byte("precious"))
	missing := filepath.Join(filepath.Dir(precious), "missing")
	for what, c := range map[string]struct {
		name  string
		plant func(path string) error
		ok    bool
	}{
		"link in a temporary file's place": {tempPrefix + "0", func(path string) error { return os.Symlink(precious, path) }, true},
		"pipe in a temporary file's place": {tempPrefix + "0", func(path string) error { return syscall.Mkfifo(path, 0o600) }, true},
		"link in the segment's place":      {name, func(path string) error { return os.Symlink(precious, path) }, false},
		"link to what is missing":          {name, func(path string) error { return os.Symlink(missing, path) }, false},
		"pipe in the segment's place":      {name, func(path string) error { return syscall.Mkfifo(path, 0o600) }, false},
	} {
		dir := t.TempDir()
		if err := c.plant(filepath.Join(dir, c.name)); err != nil {
			t.Fatal(err)
		}
		if _, err := push(t, dir, from, codec.None); (err == nil) != c.ok {
			t.Errorf("%s: pushed with %v", what, err)
		}
		if b, err := os.ReadFile(precious); string(b) != "precious" {
			t.Errorf("%s: what it leads to holds %q, %v", what, b, err)
		}
		if _, err := os.Lstat(missing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file was made where the link leads", what)
		}
	}
	archive, err := Open(filepath.Dir(from))
	if err != nil {
		t.Fatal(err)
	}
	for _, planted := range []string{"RECOVERYXLOG", "RECOVERYXLOG" + fetchInfix + "0"} {
		to := t.TempDir()
		if err := os.Symlink(precious, filepath.Join(to, planted)); err != nil {
			t.Fatal(err)
		}
		err := archive.Fetch(context.Background(), name, filepath.Join(to, "RECOVERYXLOG"))
		if (err != nil) != (planted == "RECOVERYXLOG") {
			t.Errorf("link %s: fetched with %v", planted, err)
		}
		if b, err := os.ReadFile(precious); string(b) != "precious" {
			t.Errorf("link %s: what it leads to holds %q, %v", planted, b, err)
		}
	}
}

func TestAFileStaysInTheDirectoryThatWasOpened(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	dir := filepath.Join(parent, "archive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	placed, err := newTemp(root, tempPrefix, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	given, err := newTemp(root, tempPrefix, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := newTemp(root, tempPrefix, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, elsewhere, filepath.Base(gone.path), []byte("precious"))
	swaptest.Swap(t, dir, elsewhere)
	if err := errors.Join(placed.place("placed"), given.replace("given")); err != nil {
		t.Error(err)
	}
	gone.discard()
	if got := names(t, elsewhere); got != filepath.Base(gone.path) {
		t.Errorf("where the link leads there are %s", got)
	}
	if got := names(t, dir+swaptest.Moved); got != "given placed" {
		t.Errorf("the directory has %s", got)
	}
}

func TestPushedFilesMayBeReadByTheGroupIfTheArchiveMayWhateverTheUmaskIs(t *testing.T) {
	name := segmentName(1, 5)
	from := writeFile(t, t.TempDir(), name, makeSegment(1, 5, "new"))
	for _, umask := range []int{0, 0o022, 0o077} {
		for mode, want := range map[fs.FileMode]fs.FileMode{0o700: 0o600, 0o750: 0o640, 0o755: 0o640} {
			dir := t.TempDir()
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			old := syscall.Umask(umask)
			r, err := push(t, dir, from, codec.None)
			syscall.Umask(old)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(r.Path); err != nil || info.Mode() != want {
				t.Errorf("umask %03o, archive with %v: %v, %v, want %v", umask, mode, info.Mode(), err, want)
			}
		}
	}
}
