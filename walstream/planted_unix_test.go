//go:build unix

package walstream_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/swaptest"
	"github.com/pgbasin/pgbasin/walstream"
)

// closingSink is a sink for files in a directory.
type closingSink interface {
	walstream.Sink
	Close() error
}

// sinks are the ways to keep segments in a directory, and what the file of one
// that is not whole is called.
func sinks(t *testing.T, o walstream.DirectoryOptions) map[string]closingSink {
	t.Helper()
	made := map[string]closingSink{}
	made[segmentName] = walstream.NewDirectory(o)
	o.Partial = true
	made[segmentName+".partial"] = walstream.NewDirectory(o)
	z, err := walstream.NewCompressed(o, codec.Spec{Algorithm: codec.Gzip})
	if err != nil {
		t.Fatal(err)
	}
	made[segmentName+".gz.partial"] = z
	return made
}

func TestWhatIsInASegmentsPlaceIsNeitherFollowedNorWaitedFor(t *testing.T) {
	for _, planted := range []string{"link", "pipe", "directory"} {
		dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
		if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, sink := range sinks(t, walstream.DirectoryOptions{Path: dir}) {
			defer sink.Close()
			path := filepath.Join(dir, name)
			err := os.Symlink(elsewhere, path)
			switch planted {
			case "pipe":
				err = errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
			case "directory":
				err = errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
			}
			if err != nil {
				t.Fatal(err)
			}
			err = sink.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize})
			var special *durable.NotRegularError
			if name == segmentName {
				// It must not be there at all.
				if !errors.Is(err, fs.ErrExist) {
					t.Errorf("%s as %s: %v", planted, name, err)
				}
			} else if !errors.As(err, &special) {
				t.Errorf("%s as %s: %v", planted, name, err)
			}
		}
		if b, err := os.ReadFile(elsewhere); string(b) != "precious" {
			t.Errorf("%s: what it leads to holds %q, %v", planted, b, err)
		}
	}
}

func TestFilesReplaceLinksAndDirectoriesAreNoLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"00000002.history.tmp": precious, "00000002.history": precious, "archive_status": outside,
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	d := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: true})
	defer d.Close()
	if err := d.WriteFile("00000002.history", []byte("1\n")); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "00000002.history")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the history is %v, %v", info, err)
	}
	if err := d.WriteFile("archive_status/"+segmentName+".done", nil); err == nil {
		t.Error("a link was taken for archive_status")
	}
	if err := os.Remove(filepath.Join(dir, "archive_status")); err != nil {
		t.Fatal(err)
	}
	done := filepath.Join("archive_status", segmentName+".done")
	if err := os.Mkdir(filepath.Join(dir, "archive_status"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(dir, done)); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile(done, nil); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside there are %v, %v", entries, err)
	}
	if b, err := os.ReadFile(precious); string(b) != "precious" {
		t.Errorf("what the links lead to holds %q, %v", b, err)
	}
}

func TestAnotherDirectoryThatGetsThePathGetsNothing(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	n := 0
	for name := range sinks(t, walstream.DirectoryOptions{Path: parent}) {
		n++
		dir := filepath.Join(parent, "archive"+string(rune('0'+n)))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		sink := sinks(t, walstream.DirectoryOptions{Path: dir})[name]
		if err := sink.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}); err != nil {
			t.Fatal(err)
		}
		swaptest.Swap(t, dir, elsewhere)
		if _, err := sink.Write(make([]byte, segmentSize)); err != nil {
			t.Error(err)
		}
		if err := sink.CloseSegment(); err != nil {
			t.Error(err)
		}
		if err := errors.Join(sink.WriteFile("00000002.history", []byte("1\n")), sink.WriteFile("archive_status/x.done", nil)); err != nil {
			t.Error(err)
		}
		if _, err := sink.Sync(); err != nil {
			t.Error(err)
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
			t.Errorf("%s: where the link leads there are %v, %v", name, left, err)
		}
		if made, err := os.ReadDir(dir + swaptest.Moved); err != nil || len(made) != 3 {
			t.Errorf("%s: the archive has %v, %v", name, made, err)
		}
	}
}

func TestFilesOfAnArchiveHaveTheirModesWhateverTheUmaskIs(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		for _, mode := range []fs.FileMode{0o700, 0o750} {
			for name := range sinks(t, walstream.DirectoryOptions{Path: t.TempDir()}) {
				dir := t.TempDir()
				sink := sinks(t, walstream.DirectoryOptions{Path: dir, FileMode: mode & 0o660, DirMode: mode})[name]
				old := syscall.Umask(umask)
				err := errors.Join(
					sink.OpenSegment(walstream.Segment{Name: segmentName, Size: segmentSize}),
					sink.WriteFile("00000002.history", []byte("1\n")),
					sink.WriteFile("archive_status/x.done", nil), sink.Close())
				syscall.Umask(old)
				if err != nil {
					t.Fatal(err)
				}
				for file, want := range map[string]fs.FileMode{
					name: mode & 0o660, "00000002.history": mode & 0o660, "archive_status": mode | fs.ModeDir, "archive_status/x.done": mode & 0o660,
				} {
					info, err := os.Lstat(filepath.Join(dir, file))
					if err != nil || info.Mode() != want {
						t.Errorf("umask %03o: %s is %v, %v, want %v", umask, file, info, err, want)
					}
				}
			}
		}
	}
}
