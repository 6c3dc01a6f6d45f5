package backupset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// large is a backup of many small files and of some large ones that do not compress.
func large(files, size int) *backuptest.Backup {
	b := many()
	for i := range files {
		content := make([]byte, size+i*1000)
		rand.NewChaCha8([32]byte{byte(i)}).Read(content)
		b.Files[fmt.Sprintf("base/5/100%d", i)] = content
	}
	return b
}

// forms are the ways in which a backup can be stored, by their names.
func forms(t *testing.T, b *backuptest.Backup) map[string]string {
	t.Helper()
	dir := t.TempDir()
	paths := map[string]string{"plain": filepath.Join(dir, "plain")}
	b.Plain(paths["plain"])
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip, codec.LZ4, codec.Zstd} {
		tar, one := filepath.Join(dir, "tar"+a.Suffix()), filepath.Join(dir, "one.tar")
		b.Tar(tar, codec.Spec{Algorithm: a})
		b.Single(one, codec.Spec{Algorithm: a})
		paths["tar"+a.Suffix()], paths["one tar"+a.Suffix()] = tar, one+a.Suffix()
	}
	return paths
}

// counted opens a backup and counts what is read of it.
func counted(t *testing.T, path string) (*backupset.Set, *atomic.Int64) {
	t.Helper()
	n := new(atomic.Int64)
	s, err := backupset.Open(path, backupset.Options{Progress: func(m int) { n.Add(int64(m)) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, n
}

// readOnly reads the members that are called names of all archives.
func readOnly(t *testing.T, s *backupset.Set, names map[backupset.Kind][]string) contents {
	t.Helper()
	all := contents{}
	for i := range s.Archives {
		a := &s.Archives[i]
		c := &collector{into: all}
		if a.Kind == backupset.WAL {
			c.under = "pg_wal/"
		}
		if err := s.ReadOnly(context.Background(), a, names[a.Kind], c); err != nil {
			t.Fatalf("%s: %v", a.Name, err)
		}
	}
	return all
}

func TestReadOnlyShowsTheChosenMembersOfReadOfEveryForm(t *testing.T) {
	b := large(5, 1<<20)
	for form, path := range forms(t, b) {
		t.Run(form, func(t *testing.T) {
			all := readAll(t, open(t, path))
			for _, names := range [][]string{
				{"base/5/1001"}, {"global/pg_control"}, {"base/3", "PG_VERSION"}, {"base"}, {"backup_label", "base/39/39"}, {"."}, {"pg_wal/000000010000000000000001"},
				{"none", "base/5/100"}, {},
			} {
				want := contents{}
				for name, content := range all {
					for _, n := range names {
						if n == "." || name == n || strings.HasPrefix(name, n+"/") {
							want[name] = content
						}
					}
				}
				below := []string{}
				for _, n := range names {
					if rest, ok := strings.CutPrefix(n, "pg_wal/"); ok {
						below = append(below, rest)
					} else if n == "." {
						below = append(below, n)
					}
				}
				got := readOnly(t, open(t, path), map[backupset.Kind][]string{backupset.Data: names, backupset.WAL: below})
				if len(names) > 0 && names[0] != "none" && len(want) == 0 {
					t.Fatalf("%q are none of %d members", names, len(all))
				}
				same(t, got, want)
			}
		})
	}
}

// How much of a backup is read for one small file of it.
func TestTheRestOfABackupIsNotRead(t *testing.T) {
	for form, path := range forms(t, large(2, 10<<20)) {
		t.Run(form, func(t *testing.T) {
			s, n := counted(t, path)
			peek(t, s)
			whole := contentSize(t, s)
			for _, name := range []string{"base/5/5", "global/pg_control"} {
				n.Store(0)
				if got := readOnly(t, s, map[backupset.Kind][]string{backupset.Data: {name}}); len(got) != 1 {
					t.Fatalf("%d members", len(got))
				}
				read := n.Load()
				t.Logf("%s: %d of %d bytes", name, read, whole)
				if a := s.Data().Compression; form == "plain" || a == codec.None || a == codec.Zstd {
					// The frames of large members begin with these.
					if read > whole/3 || form == "plain" && read > 8192 || a == codec.None && read > 2<<20 {
						t.Errorf("%d of %d bytes were read for %s", read, whole, name)
					}
				} else if read < whole/2 {
					t.Errorf("only %d of %d bytes were read: the count is wrong", read, whole)
				}
			}
			if form == "plain" {
				return
			}
			n.Store(0)
			d := describe(t, s)
			read := n.Load()
			t.Logf("description: %d of %d bytes", read, whole)
			if a := s.Data().Compression; (a == codec.None || a == codec.Zstd) && read > whole/2 {
				t.Errorf("%d of %d bytes were read for the description", read, whole)
			}
			if len(d.Problems) > 0 || d.Files < 100 || d.Bytes < 15<<20 || d.Manifest == nil || d.Control == nil {
				t.Errorf("the description is %+v", d)
			}
		})
	}
}

// contentSize is what the backup's archives take where they are.
func contentSize(t *testing.T, s *backupset.Set) (n int64) {
	t.Helper()
	for i := range s.Archives {
		if s.Form == backupset.Plain {
			n += s.Archives[i].Content
		} else {
			n += s.Archives[i].Stored
		}
	}
	return n
}

func TestADescriptionByTheSeekTableIsThatOfTheStream(t *testing.T) {
	paths := forms(t, large(2, 3<<20))
	for _, kind := range []string{"tar", "one tar"} {
		want := describe(t, open(t, paths[kind+".gz"]))
		for _, suffix := range []string{"", ".lz4", ".zst"} {
			got := describe(t, open(t, paths[kind+suffix]))
			g, w := *got, *want
			g.Stored, w.Stored = 0, 0
			if a, b := fmt.Sprintf("%+v %+v %+v", g.Manifest, g.Contents, g.Control), fmt.Sprintf("%+v %+v %+v", w.Manifest, w.Contents, w.Control); a != b {
				t.Errorf("%s: %s\nwant %s", kind+suffix, a, b)
			}
			if g.Files != w.Files || g.Bytes != w.Bytes || len(g.Problems) > 0 || g.Label.Start != w.Label.Start {
				t.Errorf("%s: %+v, want %+v", kind+suffix, g, w)
			}
		}
	}
}

func TestStandardInputIsReadForSomeMembers(t *testing.T) {
	paths := forms(t, large(2, 3<<20))
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip, codec.Zstd} {
		f, err := os.Open(paths["one tar"+a.Suffix()])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := backupset.Open("-", backupset.Options{Stdin: f})
		if err != nil {
			t.Fatal(err)
		}
		peek(t, s)
		got := readOnly(t, s, map[backupset.Kind][]string{backupset.Data: {"base/5/1001", "global"}})
		want := readAll(t, open(t, paths["one tar"])).files()
		if len(got.files()) != 2 || got["base/5/1001"] != want["base/5/1001"] || got["global/pg_control"] != want["global/pg_control"] {
			t.Errorf("%v: %v", a, got)
		}
	}
}

// A WAL directory elsewhere is found by its names below pg_wal.
func TestReadOnlyFollowsTheLinkOfTheWALDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	many().Plain(dir)
	away := filepath.Join(t.TempDir(), "wal")
	if err := os.Rename(filepath.Join(dir, "pg_wal"), away); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(away, filepath.Join(dir, "pg_wal")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"pg_wal/000000010000000000000001": 1, "pg_wal/archive_status": 1, "pg_wal": 3, "base/7": 4} {
		if got := readOnly(t, open(t, dir), map[backupset.Kind][]string{backupset.Data: {name}}); len(got) != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDamageIsFoundWhereAMemberIsRead(t *testing.T) {
	dir := t.TempDir()
	large(5, 3<<20).Single(filepath.Join(dir, "one.tar"), codec.Spec{Algorithm: codec.Zstd})
	good, err := os.ReadFile(filepath.Join(dir, "one.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "bad.tar.zst")
	read := func(z []byte, name string) error {
		t.Helper()
		if err := os.WriteFile(path, z, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		err := s.ReadOnly(context.Background(), s.Data(), []string{name}, &collector{into: contents{}})
		var archive *backupset.ArchiveError
		if err != nil && (!errors.As(err, &archive) || archive.Path != path || !archive.IsDamage()) {
			t.Errorf("%s: not the damage of the file: %v", name, err)
		}
		return err
	}
	flip := func(at int) []byte {
		z := bytes.Clone(good)
		z[at] ^= 0x10
		return z
	}
	if err := read(good, "base/5/1002"); err != nil {
		t.Fatal(err)
	}
	middle := len(good)/2 + 1<<20 // in the second frame of the third of five large members
	if read(flip(middle), "base/5/1002") == nil {
		t.Error("a member was read although it is damaged")
	}
	if err := read(flip(middle), "base/5/1000"); err != nil {
		t.Errorf("another member is damaged, and this one was not read: %v", err)
	}
	// Without the table all is a stream again, which ends too early.
	if err := read(good[:len(good)-1], "base/5/1000"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	// The table says that the first frame holds more.
	z := bytes.Clone(good)
	frames := int(z[len(z)-9])
	z[len(z)-9-8*frames+4]++
	if read(z, "base/5/1000") == nil {
		t.Error("a table was taken for true that lies about what is read")
	}
}

func TestReadOnlyEndsWithItsContextAndItsVisitor(t *testing.T) {
	stop := errors.New("stop")
	for form, path := range forms(t, many()) {
		s := open(t, path)
		peek(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.ReadOnly(ctx, s.Data(), []string{"base"}, &collector{into: contents{}}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", form, err)
		}
		if err := s.ReadOnly(context.Background(), s.Data(), []string{"global/pg_control"}, refusing{stop}); err != stop {
			t.Errorf("%s: %v", form, err)
		}
	}
}

// refusing is a visitor that takes nothing.
type refusing struct{ err error }

func (f refusing) Member(*tarstream.Header) error { return f.err }
func (f refusing) Content([]byte) error           { return f.err }
func (f refusing) EndMember() error               { return f.err }
