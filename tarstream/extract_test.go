package tarstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

func sameTarget(_, target string) (string, error) { return target, nil }

// extract extracts an archive to a fresh directory, or to opt.Dir. In the first case
// it does so concurrently, too, to the same end.
func extract(t testing.TB, opt ExtractOptions, a []byte, piece int) (dir string, err error) {
	t.Helper()
	if opt.Dir != "" {
		return opt.Dir, extractTo(t, opt, a, piece)
	}
	opt.Dir = t.TempDir()
	err = extractTo(t, opt, a, piece)
	if opt.Concurrent || opt.Stored != nil || len(opt.Mounts) > 0 || opt.OnFile != nil {
		return opt.Dir, err
	}
	beside := opt
	beside.Dir, beside.Concurrent = t.TempDir(), true
	besideErr := extractTo(t, beside, a, piece)
	if got, want := strings.ReplaceAll(fmt.Sprint(besideErr), beside.Dir, opt.Dir), fmt.Sprint(err); got != want {
		t.Errorf("error when concurrent: %s\nelse: %s", got, want)
	}
	if got, want := tree(t, beside.Dir), tree(t, opt.Dir); err == nil && !slices.Equal(got, want) {
		t.Errorf("concurrent:\n%s\nelse:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return opt.Dir, err
}

func extractTo(t testing.TB, opt ExtractOptions, a []byte, piece int) error {
	t.Helper()
	x, err := NewExtractor(opt)
	if err != nil {
		t.Fatal(err)
	}
	err = parse(x, a, piece)
	if closeErr := x.Close(); err == nil {
		err = closeErr
	}
	return err
}

// tree lists what is below a directory, with contents, and modes where the
// system has them.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%q %v", filepath.ToSlash(rel), info.Mode().Type())
		if runtime.GOOS != "windows" && info.Mode()&fs.ModeSymlink == 0 {
			line += fmt.Sprintf(" %o", info.Mode().Perm())
		}
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", content)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " " + target
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestMembersBecomeFiles(t *testing.T) {
	a := archive(t, sample...)
	var first []string
	for i, piece := range []int{1, 100, 1000, 8192, 1 << 20} {
		var names []string
		dir, err := extract(t, ExtractOptions{Link: sameTarget, Sync: i%2 == 1, OnFile: func(name string) { names = append(names, name) }}, a, piece)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range sample {
			path := filepath.Join(dir, filepath.FromSlash(m.name))
			if names[i] != strings.TrimSuffix(m.name, "/") {
				t.Errorf("%s was reported as %s", m.name, names[i])
			}
			switch m.typ {
			case '5':
				if info, err := os.Lstat(path); err != nil || !info.IsDir() {
					t.Errorf("%s: %v, %v", m.name, info, err)
				}
			case '2':
				if target, err := os.Readlink(path); err != nil || target != m.link {
					t.Errorf("%s: %s, %v", m.name, target, err)
				}
			default:
				if got, err := os.ReadFile(path); err != nil || string(got) != m.content {
					t.Errorf("%s: %d bytes, %v", m.name, len(got), err)
				}
			}
		}
		got := tree(t, dir)
		if first == nil {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Errorf("pieces of %d bytes: got %q, want %q", piece, got, first)
		}
	}
}

func TestLargeFilesSurviveAnySplit(t *testing.T) {
	content := make([]byte, 3<<20+777)
	for i := range content {
		content[i] = byte(i * 31 >> 3)
	}
	a := archive(t, member{name: "big", content: string(content)})
	for _, piece := range []int{1000, 8192, 32 << 10, 32<<10 + 5, direct - 1, direct, direct + 1, gather - 1, gather, gather + 1, 1 << 20, 8 << 20} {
		dir, err := extract(t, ExtractOptions{Writeback: piece%2 == 0}, a, piece)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "big")); err != nil || !bytes.Equal(got, content) {
			t.Errorf("pieces of %d bytes: %d bytes, equal: %v, %v", piece, len(got), bytes.Equal(got, content), err)
		}
	}
}

func TestFileThatCannotBeSyncedIsAnErrorOfTheArchive(t *testing.T) {
	dir := t.TempDir()
	x, err := NewExtractor(ExtractOptions{Dir: dir, Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Member(&Header{Name: "lost"}); err != nil {
		t.Fatal(err)
	}
	x.file.Close()
	err = x.EndMember()
	for i := 0; i < 1000 && err == nil; i++ {
		err = WriteFile(x, &Header{Name: fmt.Sprint(i)}, nil)
	}
	for _, err := range []error{err, x.Close()} {
		var fe *FileError
		if !errors.As(err, &fe) || fe.Path != dir+"/lost" || fe.Action != "could not fsync file" {
			t.Errorf("got %v", err)
		}
	}
}

func TestFilesAreSyncedWhenCloseReturns(t *testing.T) {
	x, err := NewExtractor(ExtractOptions{Dir: t.TempDir(), Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Member(&Header{Name: "last"}); err != nil {
		t.Fatal(err)
	}
	x.file.Close()
	x.EndMember()
	if err := x.Close(); err == nil {
		t.Error("the last file's error was lost")
	}
}

func TestLargeAndSmallPiecesCanAlternate(t *testing.T) {
	dir := t.TempDir()
	x, err := NewExtractor(ExtractOptions{Dir: dir, Writeback: true})
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range 200 {
		size := []int{1, direct, 1000, direct + 7, 100_000, 90_000, 80_000, gather}[i%8]
		want = append(want, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	if err := x.Member(&Header{Name: "x", Size: int64(len(want))}); err != nil {
		t.Fatal(err)
	}
	rest := want
	for i := 0; len(rest) > 0; i++ {
		n := []int{1, direct, 1000, direct + 7, 100_000, 90_000, 80_000, gather}[i%8]
		n = min(n, len(rest))
		if err := x.Content(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := x.EndMember(); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestNothingIsAllocatedForAPieceOfAFile(t *testing.T) {
	for _, size := range []int{serverPiece, 1 << 20} {
		x, err := NewExtractor(ExtractOptions{Dir: t.TempDir(), Writeback: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Member(&Header{Name: "big", Size: 1 << 40}); err != nil {
			t.Fatal(err)
		}
		piece := make([]byte, size)
		if n := testing.AllocsPerRun(20, func() {
			if err := x.Content(piece); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for a piece of %d bytes", n, size)
		}
		if err := x.Close(); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "big") {
			t.Errorf("file that is not complete: got %v", err)
		}
	}
}

func TestSymlinksAreMappedOrRefused(t *testing.T) {
	link := member{name: "pg_tblspc/16384/", typ: '2', link: "/old"}
	a := archive(t, member{name: "pg_tblspc/", typ: '5'}, link)
	dir, err := extract(t, ExtractOptions{Link: func(name, target string) (string, error) {
		return "/new/" + name + target, nil
	}}, a, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(filepath.Join(dir, "pg_tblspc", "16384")); err != nil || got != "/new/pg_tblspc/16384/old" {
		t.Errorf("got %s, %v", got, err)
	}
	var le *LinkError
	if _, err := extract(t, ExtractOptions{}, a, 1000); !errors.As(err, &le) {
		t.Errorf("without a mapping: got %v", err)
	}
	boom := errors.New("boom")
	if _, err := extract(t, ExtractOptions{Link: func(string, string) (string, error) { return "", boom }}, a, 1000); err != boom {
		t.Errorf("mapping that fails: got %v", err)
	}
	again := archive(t, member{name: "pg_tblspc/", typ: '5'}, link, link)
	if _, err := extract(t, ExtractOptions{Link: sameTarget}, again, 1000); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link that comes twice: got %v", err)
	}
}

func TestMembersBelowAMountGoThere(t *testing.T) {
	dir, wal := t.TempDir(), t.TempDir()
	if err := os.Symlink(wal, filepath.Join(dir, "pg_wal")); err != nil {
		t.Fatal(err)
	}
	opt := ExtractOptions{Dir: dir, Mounts: map[string]string{"pg_wal": wal}}
	a := archive(t, member{name: "pg_wal/", typ: '5'}, member{name: "pg_wal/archive_status/", typ: '5'},
		member{name: "pg_wal/archive_status/x.done"}, member{name: "pg_wal/x", content: "wal"}, member{name: "y"}, member{name: "pg_wal/z"})
	if _, err := extract(t, opt, a, 1000); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"archive_status/x.done", "x", "z"} {
		if _, err := os.Lstat(filepath.Join(wal, name)); err != nil {
			t.Error(err)
		}
	}
	for name, m := range map[string]member{
		"file":    {name: "pg_wal"},
		"escape":  {name: "pg_wal/../../x"},
		"there":   {name: "pg_wal/x"},
		"missing": {name: "pg_wal/a/b"},
	} {
		if _, err := extract(t, opt, archive(t, m), 1000); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestMountNeedsItsLink(t *testing.T) {
	a := archive(t, member{name: "pg_wal/", typ: '5'})
	dir := t.TempDir()
	opt := ExtractOptions{Dir: dir, Mounts: map[string]string{"pg_wal": t.TempDir()}}
	if _, err := extract(t, opt, a, 1000); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a link: got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pg_wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := extract(t, opt, a, 1000); !errors.Is(err, errNotDirectory) {
		t.Errorf("with a file: got %v", err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	opt = ExtractOptions{Dir: t.TempDir(), Mounts: map[string]string{"pg_wal": gone}}
	_, err := extract(t, opt, archive(t, member{name: "pg_wal/x"}), 1000)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Errorf("mount that is not there: got %v", err)
	}
}

func TestOnlyDirectoriesThatAreAllowedMayExist(t *testing.T) {
	allow := func(name string) bool { return name == "pg_wal" || name == "pg_wal/archive_status" }
	a := archive(t, member{name: "pg_wal/", typ: '5'}, member{name: "pg_wal/archive_status/", typ: '5'})
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "pg_wal", "archive_status"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := extract(t, ExtractOptions{Dir: dir, Exists: allow}, a, 1000); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "pg_wal")); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o700) {
		t.Errorf("mode of a directory that was there: %v, %v", info.Mode(), err)
	}
	if _, err := extract(t, ExtractOptions{Dir: dir}, a, 1000); !errors.Is(err, fs.ErrExist) {
		t.Errorf("directory that must not exist: got %v", err)
	}

	for what, create := range map[string]func(path string) error{
		"file":            func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"link inside":     func(path string) error { return os.Symlink(".", path) },
		"link outside":    func(path string) error { return os.Symlink(os.TempDir(), path) },
		"link to nowhere": func(path string) error { return os.Symlink("gone", path) },
	} {
		dir := t.TempDir()
		if err := create(filepath.Join(dir, "pg_wal")); err != nil {
			t.Fatal(err)
		}
		if _, err := extract(t, ExtractOptions{Dir: dir, Exists: allow}, a, 1000); !errors.Is(err, errNotDirectory) {
			t.Errorf("%s in place of a directory: got %v", what, err)
		}
	}
}

func TestSymlinkInTheWayIsNeverFollowed(t *testing.T) {
	for _, target := range []string{".", "base", "../inside/base", "/", "gone"} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "inside")
		if err := os.MkdirAll(filepath.Join(dir, "base"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		before := tree(t, parent)
		for _, m := range []member{
			{name: "link/x"}, {name: "link/base/x"}, {name: "link/d/", typ: '5'}, {name: "link"}, {name: "link/", typ: '5'},
		} {
			_, err := extract(t, ExtractOptions{Dir: dir, Exists: func(string) bool { return true }}, archive(t, m), 1000)
			if err == nil {
				t.Errorf("link to %q: %s was accepted", target, m.name)
			}
		}
		if after := tree(t, parent); !slices.Equal(before, after) {
			t.Errorf("link to %q: got %q, want %q", target, after, before)
		}
	}
}

// The archive makes the link itself, and the directory it leads to was named by
// the user: still, members reach it only by an archive of its own.
func TestMemberBelowALinkOfTheArchiveIsRefused(t *testing.T) {
	outside := t.TempDir()
	for _, below := range []member{
		{name: "pg_tblspc/16384/x", content: "x"},
		{name: "pg_tblspc/16384/d/", typ: '5'},
		{name: "pg_tblspc/16384", content: "x"},
		{name: "pg_tblspc/16384/", typ: '5'},
		{name: "pg_tblspc/16384/", typ: '2', link: "/"},
	} {
		a := archive(t, member{name: "pg_tblspc/", typ: '5'}, member{name: "pg_tblspc/16384", typ: '2', link: "/ts"}, below)
		_, err := extract(t, ExtractOptions{
			Link:   func(string, string) (string, error) { return outside, nil },
			Exists: func(string) bool { return true },
		}, a, 1000)
		if err == nil || !strings.Contains(err.Error(), "pg_tblspc/16384") {
			t.Errorf("%s: got %v", below.name, err)
		}
		if left := tree(t, outside); len(left) > 0 {
			t.Errorf("%s: %q came to be outside", below.name, left)
		}
	}
}

func TestNothingIsReplaced(t *testing.T) {
	for what, second := range map[string]member{
		"file twice":          {name: "base/1", content: "new"},
		"directory for file":  {name: "base/1/", typ: '5'},
		"member below a file": {name: "base/1/x"},
		"file for directory":  {name: "base"},
		"directory twice":     {name: "base/", typ: '5'},
		"link for file":       {name: "pg_tblspc/1", typ: '2', link: "/x"},
	} {
		a := archive(t, member{name: "base/", typ: '5'}, member{name: "base/1", content: "old"},
			member{name: "pg_tblspc/", typ: '5'}, member{name: "pg_tblspc/1", content: "old"}, second)
		dir, err := extract(t, ExtractOptions{Link: sameTarget}, a, 1000)
		var fe *FileError
		if !errors.As(err, &fe) {
			t.Errorf("%s: got %v", what, err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "base", "1")); err != nil || string(got) != "old" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func TestExtractorChecksWhatItIsGivenWithoutAParser(t *testing.T) {
	for _, h := range []Header{
		{Name: "../x", Type: Regular},
		{Name: "/x", Type: Regular},
		{Name: "a/../../x", Type: Directory},
		{Name: "", Type: Directory},
		{Name: "x", Type: Symlink, Linkname: "/"},
		{Name: "pg_tblspc/1", Type: Symlink, Linkname: "../.."},
		{Name: "x", Type: '1'},
	} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "inside")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		x, err := NewExtractor(ExtractOptions{Dir: dir, Link: sameTarget})
		if err != nil {
			t.Fatal(err)
		}
		err = x.Member(&h)
		if err == nil {
			t.Errorf("%+v was accepted", h)
		}
		if again := x.Member(&Header{Name: "y"}); again != err {
			t.Errorf("error did not stay: %v", again)
		}
		x.Close()
		if got := tree(t, parent); len(got) != 1 {
			t.Errorf("%+v: left %q", h, got)
		}
	}
}

func TestExtractorKeepsToTheSizeInTheHeader(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		start := func(h Header) *Extractor {
			x, err := NewExtractor(ExtractOptions{Dir: t.TempDir(), Concurrent: concurrent})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { x.Close() })
			if err := x.Member(&h); err != nil {
				t.Fatal(err)
			}
			return x
		}
		for what, err := range map[string]error{
			"too much content":       start(Header{Name: "x", Size: 1}).Content([]byte("xx")),
			"content of nothing":     start(Header{Name: "x", Size: -1}).Content([]byte("x")),
			"too little content":     start(Header{Name: "x", Size: 1}).EndMember(),
			"member inside a member": start(Header{Name: "x", Size: 1}).Member(&Header{Name: "y"}),
			"content of a directory": start(Header{Name: "x", Type: Directory}).Content([]byte("x")),
		} {
			if err == nil {
				t.Errorf("%s was accepted (concurrent: %v)", what, concurrent)
			}
		}
	}
}

func TestErrorsNameTheWholePathAndKeepTheCause(t *testing.T) {
	dir := t.TempDir()
	_, err := extract(t, ExtractOptions{Dir: dir}, archive(t, member{name: "base/1/1259"}), 1000)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if runtime.GOOS != "windows" {
		if want := `could not create file "` + dir + `/base/1/1259": No such file or directory`; err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err = extract(t, ExtractOptions{Dir: dir}, archive(t, member{name: "base/1/", typ: '5'}), 1000)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), `could not create directory "`+dir+`/base/1": `) {
		t.Errorf("got %v", err)
	}
	_, err = extract(t, ExtractOptions{Dir: dir, Link: sameTarget}, archive(t, member{name: "pg_tblspc/1", typ: '2', link: "/ts"}), 1000)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), `could not create symbolic link from "`+dir+`/pg_tblspc/1" to "/ts": `) {
		t.Errorf("got %v", err)
	}
	long := strings.Repeat("x", 100) + "/" + strings.Repeat("y", 100)
	if _, err = extract(t, ExtractOptions{Dir: dir}, archive(t, member{name: long}), 1000); err == nil || !strings.Contains(err.Error(), dir+"/"+long) {
		t.Errorf("got %v", err)
	}
	gone := filepath.Join(dir, "gone")
	if _, err := NewExtractor(ExtractOptions{Dir: gone}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Errorf("got %v", err)
	}
}

func TestCloseReportsTheErrorOnce(t *testing.T) {
	x, err := NewExtractor(ExtractOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	want := x.Member(&Header{Name: "a/b"})
	if err := x.Close(); want == nil || err != want {
		t.Errorf("got %v, want %v", err, want)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if err := x.Member(&Header{Name: "c"}); err == nil {
		t.Error("a member was accepted after Close")
	}
}

// Directories are visited in any order, and each is entered again.
func TestOrderOfDirectoriesDoesNotMatter(t *testing.T) {
	members := []member{{name: "a/", typ: '5'}, {name: "ab/", typ: '5'}, {name: "a/b/", typ: '5'}, {name: "a/b/c/", typ: '5'}, {name: "ab/c/", typ: '5'}}
	for i := range 5 {
		for _, dir := range []string{"", "a/b/c/", "ab/", "a/", "ab/c/", "a/b/", "a/b/c/", "ab/c/"} {
			members = append(members, member{name: fmt.Sprintf("%sf%d-%d", dir, i, len(members)), content: dir})
		}
	}
	dir, err := extract(t, ExtractOptions{}, archive(t, members...), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members[5:] {
		if got, err := os.ReadFile(filepath.Join(dir, m.name)); err != nil || string(got) != m.content {
			t.Errorf("%s: %q, %v", m.name, got, err)
		}
	}
}

func TestDeepNestingHoldsNoMoreDirectoriesThanANameHasParts(t *testing.T) {
	var members []member
	name := ""
	for len(name) < 240 {
		name += "d/"
		members = append(members, member{name: name, typ: '5'})
	}
	members = append(members, member{name: name + "f"}, member{name: "g"})
	if _, err := extract(t, ExtractOptions{}, archive(t, members...), 1000); err != nil {
		t.Error(err)
	}
}

// FuzzExtract: whatever an archive holds, nothing changes outside of the
// directory and the mount.
func FuzzExtract(f *testing.F) {
	seeds.Require(f, 27)
	for _, members := range [][]member{
		seed(),
		{{name: "../outside/canary", content: "x"}},
		{{name: "/tmp/canary", content: "x"}},
		{{name: "pg_tblspc/", typ: '5'}, {name: "pg_tblspc/1", typ: '2', link: "/x"}, {name: "pg_tblspc/1/canary", content: "x"}},
		{{name: "pg_tblspc/", typ: '5'}, {name: "pg_tblspc/1", typ: '2', link: "x"}, {name: "pg_tblspc/1/d/", typ: '5'}},
		{{name: "base/", typ: '5'}, {name: "base", typ: '2', link: "../outside"}, {name: "base/canary", content: "x"}},
		{{name: "pg_wal/", typ: '5'}, {name: "pg_wal/x", content: "x"}, {name: "pg_wal/../y", content: "x"}},
		{{name: "pg_wal", content: "x"}, {name: "pg_wal/x/y", content: "x"}},
		{{name: "a", content: "1"}, {name: "a", content: "2"}, {name: "a", typ: '1', link: "../outside/canary"}},
	} {
		f.Add(archive(f, members...), uint16(700))
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		parent := t.TempDir()
		dir, wal, outside := filepath.Join(parent, "inside"), filepath.Join(parent, "wal"), filepath.Join(parent, "outside")
		for _, d := range []string{dir, wal, outside} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(outside, "canary"), []byte("alive"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(wal, filepath.Join(dir, "pg_wal")); err != nil {
			t.Fatal(err)
		}
		extract(t, ExtractOptions{
			Dir:    dir,
			Mounts: map[string]string{"pg_wal": wal},
			Link:   func(string, string) (string, error) { return outside, nil },
			Exists: func(name string) bool { return strings.HasPrefix(name, "pg_") },
		}, fixChecksums(data), int(piece)+1)

		entries, err := os.ReadDir(parent)
		if err != nil || len(entries) != 3 {
			t.Fatalf("beside the directory: %v, %v", entries, err)
		}
		if got := tree(t, outside); len(got) != 1 || !strings.HasSuffix(got[0], fmt.Sprintf(" %x", "alive")) {
			t.Fatalf("outside: %q", got)
		}
		if target, err := os.Readlink(filepath.Join(dir, "pg_wal")); err != nil || target != wal {
			t.Fatalf("the link to the mount: %q, %v", target, err)
		}
	})
}

func TestFilesAreToldOfWhenTheyHaveAllOfTheirContent(t *testing.T) {
	dir := t.TempDir()
	var got []string
	e, err := NewExtractor(ExtractOptions{Dir: dir, Stored: func(name string, info fs.FileInfo) {
		now, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !now.ModTime().Equal(info.ModTime()) {
			t.Errorf("%v", err)
		}
		got = append(got, fmt.Sprintf("%s %d", name, info.Size()))
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Header{{Name: "d", Type: Directory}, {Name: "d/f", Type: Regular, Size: 1 << 20}, {Name: "e", Type: Regular}} {
		if err := WriteFile(e, h, make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil || fmt.Sprint(got) != "[d/f 1048576 e 0]" {
		t.Errorf("%q, %v", got, err)
	}
}
