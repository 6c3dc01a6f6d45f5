package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/manifest"
)

func TestIndexFindsWhatWasAddedAndNothingElse(t *testing.T) {
	x := newIndex()
	name := func(i int) string { return fmt.Sprintf("base/%d/%d", i%7, i) }
	const n = 20000
	for i := range n {
		x.add(&manifest.File{Path: name(i), Size: int64(i), Algorithm: manifest.CRC32C, Checksum: []byte{byte(i), byte(i >> 8), 0, 1}}, i%10 == 0)
	}
	if x.seal() {
		t.Fatal("a path is there twice")
	}
	if x.files != n-n/10 {
		t.Errorf("%d files", x.files)
	}
	for i := range n {
		f, flags := x.find(name(i))
		if f == nil || f.size != int64(i) || f.sum != x.sum([]byte{byte(i), byte(i >> 8), 0, 1}) {
			t.Fatalf("%s: %+v", name(i), f)
		}
		if flags.algorithm() != manifest.CRC32C || (*flags&ignored != 0) != (i%10 == 0) || *flags&(matched|bad|repeated|oddLength) != 0 {
			t.Fatalf("%s: %b", name(i), *flags)
		}
		*flags |= matched
	}
	for i := range n {
		if _, flags := x.find(name(i)); *flags&matched == 0 {
			t.Fatalf("%s: the flag is gone", name(i))
		}
		if f, _ := x.find(name(i) + "_fsm"); f != nil {
			t.Fatalf("%s_fsm: found", name(i))
		}
	}
}

func TestIndexMarksPathsThatAreThereTwice(t *testing.T) {
	x := newIndex()
	for _, p := range []string{"a", "b", "c", "b", "d", "b"} {
		x.add(&manifest.File{Path: p}, false)
	}
	if !x.seal() {
		t.Error("not noticed")
	}
	for _, p := range []string{"a", "b", "c", "d"} {
		if _, flags := x.find(p); (*flags&repeated != 0) != (p == "b") {
			t.Errorf("%s: %b", p, *flags)
		}
	}
}

func TestChecksumsAreComparedWhole(t *testing.T) {
	for a := manifest.CRC32C; a <= manifest.SHA512; a++ {
		v := &verifier{index: newIndex()}
		right := make([]byte, a.Size())
		for i := range right {
			right[i] = byte(i + 1)
		}
		v.index.add(&manifest.File{Path: "right", Algorithm: a, Checksum: right}, false)
		v.index.add(&manifest.File{Path: "short", Algorithm: a, Checksum: right[1:]}, false)
		v.index.add(&manifest.File{Path: "none", Algorithm: a}, false)
		v.index.seal()
		compare := func(path string, sum []byte) Kind {
			f, flags := v.index.find(path)
			if p := v.compare(*f, *flags, sum); p != nil {
				if p.Kind == ChecksumLength && (p.LengthWanted != a.Size() || path == "short" && p.Length != a.Size()-1 || path == "none" && p.Length != 0) {
					t.Errorf("%v, %s: %v", a, path, p)
				}
				return p.Kind
			}
			return 0
		}
		if got := compare("right", right); got != 0 {
			t.Errorf("%v: %v", a, got)
		}
		for _, path := range []string{"short", "none"} {
			if got := compare(path, right); got != ChecksumLength {
				t.Errorf("%v, %s: %v", a, path, got)
			}
		}
		for i := range right {
			right[i] ^= 0x80
			if got := compare("right", right); got != ChecksumDiffers {
				t.Errorf("%v, byte %d: %v", a, i, got)
			}
			right[i] ^= 0x80
		}
	}
}

func TestIgnoredPathsAreWholeNames(t *testing.T) {
	l := newIgnoreList([]string{"base/1/", "./x//y/../z", "", "a/b/c", "/abs"})
	for path, want := range map[string]bool{
		"base": false, "base/1": true, "base/1/2": true, "base/12": false, "base/2/1": false,
		"x/z": true, "x/z/a/b": true, "x": false, "x/y": false, "x/zz": false,
		"a": false, "a/b": false, "a/b/c": true, "a/b/c/d/e": true, "a/b/cd": false, "z/a/b/c": false,
		"pg_wal": true, "pg_wal/000000010000000000000001": true, "pg_wal.tar": false, "pg_wa": false,
		"backup_manifest": true, "postgresql.auto.conf": true, "postgresql.auto.conf.old": false,
		"base/1/postgresql.auto.conf": true, "global/postgresql.auto.conf": false, "": false, "abs": false,
	} {
		if l.has(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}

func FuzzIgnoreListAgreesWithPgVerifybackups(f *testing.F) {
	f.Add("base/1", "base/1/2")
	f.Add("a/b", "a/bc")
	f.Add("a", "/a")
	f.Add("", "")
	f.Add("a/", "a//b")
	f.Fuzz(func(t *testing.T, ignored, path string) {
		l := ignoreList{}
		l.add(ignored)
		want := strings.HasPrefix(path, ignored) && (len(path) == len(ignored) || path[len(ignored)] == '/')
		if l.has(path) != want {
			t.Errorf("%q in %q: %v", path, ignored, !want)
		}
	})
}
