//go:build unix

package basebackup_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/swaptest"
)

func TestABackupWritesNothingThroughALinkThatTakesItsDirectorysPlace(t *testing.T) {
	for _, c := range []struct {
		name, swapped string
		part          int // of the archives' data, before which it happens
		destination   func(dir string) basebackup.Destination
	}{
		{"plain, before the first file", "b", 0, func(dir string) basebackup.Destination {
			return basebackup.Plain(basebackup.PlainOptions{Path: filepath.Join(dir, "b"), Sync: durable.Fsync})
		}},
		{"plain, in the middle", "b", 2, func(dir string) basebackup.Destination {
			return basebackup.Plain(basebackup.PlainOptions{Path: filepath.Join(dir, "b"), Sync: durable.NoSync})
		}},
		{"the WAL's directory", "wal", 1, func(dir string) basebackup.Destination {
			return basebackup.Plain(basebackup.PlainOptions{Path: filepath.Join(dir, "b"), WALDir: filepath.Join(dir, "wal"), Sync: durable.Fsync})
		}},
		{"tar", "b", 1, func(dir string) basebackup.Destination {
			return basebackup.TarDirectory(basebackup.TarOptions{Path: filepath.Join(dir, "b"), Sync: durable.Fsync})
		}},
		{"zstd", "b", 1, func(dir string) basebackup.Destination {
			return basebackup.TarDirectory(basebackup.TarOptions{Path: filepath.Join(dir, "b"), Compression: codec.Spec{Algorithm: codec.Zstd}, Sync: durable.NoSync})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, elsewhere := t.TempDir(), t.TempDir()
			if err := os.Mkdir(filepath.Join(elsewhere, "base"), 0o755); err != nil {
				t.Fatal(err)
			}
			precious := filepath.Join(elsewhere, "backup_manifest")
			if err := os.WriteFile(precious, []byte("precious"), 0o644); err != nil {
				t.Fatal(err)
			}
			before := modes(t, elsewhere)
			gate := pgfake.NewGate()
			cluster := &pgfake.Cluster{Version: "18.4", SystemID: 42}
			cluster.Tamper = pgfake.Before(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartData, N: c.part}, pgfake.Stall(gate))
			s := pgfake.Serve(t, cluster)
			go func() {
				<-gate.Reached()
				swaptest.Swap(t, filepath.Join(dir, c.swapped), elsewhere)
				gate.Release()
			}()
			_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, c.destination(dir))
			if err == nil || !strings.Contains(err.Error(), "was replaced by another while it was filled") {
				t.Errorf("error: %v", err)
			}
			if after := modes(t, elsewhere); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if b, err := os.ReadFile(precious); string(b) != "precious" {
				t.Errorf("what was there holds %q, %v", b, err)
			}
			assertNothingLeft(t, filepath.Join(dir, c.swapped+swaptest.Moved))
		})
	}
}

// modes lists what is below a directory, with modes and sizes.
func modes(t testing.TB, root string) string {
	t.Helper()
	var list bytes.Buffer
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		list.WriteString(info.Mode().String() + " " + name + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

func TestFilesHaveTheModesOfTheServersWhateverTheUmaskIs(t *testing.T) {
	for _, group := range []bool{false, true} {
		dirMode, fileMode := fs.FileMode(0o700), fs.FileMode(0o600)
		if group {
			dirMode, fileMode = 0o750, 0o640
		}
		for _, umask := range []int{0, 0o022, 0o077} {
			for _, f := range []form{plainForm, tarForm(codec.None), tarForm(codec.Gzip)} {
				s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", SystemID: 42, DataDirMode: dirMode})
				path := filepath.Join(t.TempDir(), "made", "b")
				old := syscall.Umask(umask)
				_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, f.make(path, nil))
				syscall.Umask(old)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range strings.Split(strings.TrimSpace(modes(t, filepath.Dir(path))), "\n") {
					want := fileMode.String()
					if strings.HasPrefix(line, "d") {
						want = (dirMode | fs.ModeDir).String()
					}
					if !strings.HasPrefix(line, want) {
						t.Errorf("group access %v, umask %03o, %s: %s, want %s", group, umask, f.name, line, want)
					}
				}
			}
		}
	}
}
