//go:build unix

package restore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/swaptest"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

func TestARestoreWritesNothingThroughALinkThatTakesItsDirectorysPlace(t *testing.T) {
	for _, when := range []string{"with the first bytes", "before the sync"} {
		for _, swapped := range []string{"data", "space", "wal"} {
			if when == "before the sync" && swapped != "data" {
				continue // all are looked at alike
			}
			t.Run(swapped+" "+when, func(t *testing.T) {
				b := newBackup(t)
				o := b.options()
				o.WALDir = filepath.Join(b.root, "wal")
				o.Sync = restore.Fsync
				elsewhere := t.TempDir()
				for _, dir := range []string{"global", "base/1", "pg_tblspc", "archive_status"} {
					if err := os.MkdirAll(filepath.Join(elsewhere, dir), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				// What would be renamed, removed or written over.
				for _, name := range []string{"global/pg_control.tmp", "postgresql.auto.conf", backupset.RestoreMarker} {
					if err := os.WriteFile(filepath.Join(elsewhere, name), []byte("precious"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				before := listing(t, elsewhere)
				path := filepath.Join(b.root, swapped)
				swap := sync.OnceFunc(func() { swaptest.Swap(t, path, elsewhere) })
				if when == "before the sync" {
					o.Observer.Info = func(m string) {
						if strings.HasPrefix(m, "syncing") {
							swap()
						}
					}
				} else {
					o.Observer.Progress = func(restore.Progress) { swap() }
				}
				_, err := run(o)
				if err == nil || !strings.Contains(err.Error(), "was replaced by another while it was filled") {
					t.Errorf("error: %v", err)
				}
				if after := listing(t, elsewhere); after != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
				if left := listing(t, path+swaptest.Moved); strings.Count(left, "\n") > 1 {
					t.Errorf("left behind:\n%s", left)
				}
			})
		}
	}
}

func TestADirectoryThatIsMovedAwayWhileItIsFilledIsNamed(t *testing.T) {
	for _, moved := range []string{"data", "space", "wal"} {
		b := newBackup(t)
		o := b.options()
		o.WALDir = filepath.Join(b.root, "wal")
		path := filepath.Join(b.root, moved)
		away := path + swaptest.Moved
		move := sync.OnceFunc(func() {
			if err := os.Rename(path, away); err != nil {
				t.Error(err)
			}
		})
		o.Observer.Progress = func(restore.Progress) { move() }
		_, err := run(o)
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(path)+" was moved or removed while it was filled") {
			t.Errorf("%s: error: %v", moved, err)
		}
		if left := listing(t, away); strings.Count(left, "\n") > 1 {
			t.Errorf("%s: left behind:\n%s", moved, left)
		}
	}
}

func TestALinkThatIsThereIsNoTablespacesPlace(t *testing.T) {
	b := newBackup(t)
	o := b.options()
	swap := sync.OnceFunc(func() {
		link := filepath.Join(o.DataDir, "pg_tblspc", fixture.oid)
		os.Remove(link)
		if err := os.Symlink("/nowhere", link); err != nil {
			t.Error(err)
		}
	})
	// By the time that the archive of the tablespace is read, the link is there.
	o.Jobs = 1
	o.Observer.Progress = func(p restore.Progress) {
		if p.Archive > 0 {
			swap()
		}
	}
	if _, err := run(o); err == nil || !strings.Contains(err.Error(), "could not create symbolic link") {
		t.Errorf("error: %v", err)
	}
}

func TestARestoredClustersFilesHaveItsModesWhateverTheUmaskIs(t *testing.T) {
	for _, group := range []bool{false, true} {
		for _, umask := range []int{0, 0o077} {
			dirMode, fileMode := fs.FileMode(0o700), fs.FileMode(0o600)
			b := newBackup(t)
			if group {
				dirMode, fileMode = 0o750, 0o640
				first := true
				b.rewrite("base.tar", func(m member) []member {
					if first {
						m.Mode |= 0o040
						first = false
					}
					return []member{m}
				})
			}
			o := b.options()
			o.DataDir, o.WALDir = filepath.Join(b.root, "made", "data"), filepath.Join(b.root, "made", "wal")
			o.Tablespaces[0].New = filepath.Join(b.root, "made", "space")
			// A password may be in it.
			o.Recovery = recoveryconf.Recovery{Standby: true, PrimaryConnInfo: "host=db password=secret"}
			old := syscall.Umask(umask)
			_, err := run(o)
			syscall.Umask(old)
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{o.DataDir, o.WALDir, o.Tablespaces[0].New} {
				for _, line := range strings.Split(strings.TrimSpace(listing(t, dir)), "\n") {
					want := fileMode.String()
					switch line[0] {
					case 'd':
						want = (dirMode | fs.ModeDir).String()
					case 'L':
						continue
					}
					if !strings.HasPrefix(line, want+" ") {
						t.Errorf("umask %03o, group access %v: %s, want %s", umask, group, line, want)
					}
				}
			}
		}
	}
}

// listing lists what is below a directory, with modes and sizes.
func listing(t *testing.T, root string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		list.WriteString(info.Mode().String() + " " + name)
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if len(content) < 100 {
				list.WriteString(" " + strconv.Quote(string(content)))
			}
		}
		list.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}
