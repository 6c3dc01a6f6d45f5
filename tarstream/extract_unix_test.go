//go:build unix

package tarstream

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestModesAreThoseAskedForWhateverUmaskAndArchiveSay(t *testing.T) {
	a := archive(t, member{name: "d/", typ: '5', mode: 0o777}, member{name: "d/a", mode: 0o4777}, member{name: "d/b", mode: 0},
		member{name: "e/", typ: '5', mode: 0}, member{name: "e/c", mode: 0o666})
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		for _, c := range []struct{ dir, file, wantDir, wantFile fs.FileMode }{
			{0, 0, 0o700, 0o600},
			{0o750, 0o640, 0o750, 0o640},
		} {
			dir := t.TempDir()
			old := syscall.Umask(umask)
			_, err := extract(t, ExtractOptions{Dir: dir, DirMode: c.dir, FileMode: c.file}, a, 1000)
			syscall.Umask(old)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]fs.FileMode{"d": c.wantDir, "e": c.wantDir, "d/a": c.wantFile, "d/b": c.wantFile, "e/c": c.wantFile} {
				info, err := os.Lstat(filepath.Join(dir, name))
				if err != nil || info.Mode() & ^fs.ModeDir != want {
					t.Errorf("umask %o: %s is %v, %v, want %v", umask, name, info.Mode(), err, want)
				}
			}
		}
	}
}
