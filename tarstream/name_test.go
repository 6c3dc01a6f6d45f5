package tarstream

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestOnlyPlainRelativeNamesAreAccepted(t *testing.T) {
	for _, name := range []string{
		"a", "base/1/1259", "pg_wal/archive_status", ".hidden", "..a", "a..", "a/..b/c...", "...",
		"with space", "new\nline", "\xff\xfe", strings.Repeat("x", 300),
	} {
		if runtime.GOOS == "windows" && strings.HasSuffix(name, ".") {
			continue
		}
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	bad := []string{
		"", "/", "/a", "//a", ".", "./", "./a", "a/.", "a/./b", "..", "../a", "a/..", "a/../b", "a/../../b",
		"a//b", "a/", "a\x00", "\x00", "a/b\x00c",
	}
	if runtime.GOOS == "windows" {
		bad = append(bad, `a\b`, `..\a`, `C:a`, `C:/a`, "a:stream", "NUL", "base/CON", "a.", "a /b")
	}
	for _, name := range bad {
		err := CheckName(name)
		var ne *NameError
		if !errors.As(err, &ne) || ne.Name != name {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestOnlyTablespaceLinksAreAccepted(t *testing.T) {
	for _, c := range []struct{ name, target string }{
		{"pg_tblspc/16384", "/srv/ts1"},
		{"pg_tblspc/1", "/"},
		{"pg_tblspc/4294967295", `C:\ts`},
		{"pg_tblspc/16384", "c:/ts"},
		{"pg_tblspc/16384", `\\server\share`},
		{"pg_tblspc/16384", "ts/1"},
	} {
		if err := CheckLink(c.name, c.target); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct{ name, target string }{
		{"pg_wal", "/wal"},
		{"pg_tblspc", "/x"},
		{"pg_tblspc/", "/x"},
		{"pg_tblspc/x", "/x"},
		{"pg_tblspc/16384/x", "/x"},
		{"pg_tblspc/16384x", "/x"},
		{"pg_tblspc/42949672950", "/x"},
		{"pg_tblspc/-1", "/x"},
		{"PG_TBLSPC/1", "/x"},
		{"base/pg_tblspc/1", "/x"},
		{"pg_tblspc/1", ""},
		{"pg_tblspc/1", "../x"},
		{"pg_tblspc/1", "x/../../y"},
		{"pg_tblspc/1", "."},
		{"pg_tblspc/1", "1:/x/../y"},
		{"pg_tblspc/1", "/x\x00"},
	} {
		err := CheckLink(c.name, c.target)
		var le *LinkError
		if !errors.As(err, &le) || le.Name != c.name || le.Target != c.target {
			t.Errorf("%q -> %q: got %v", c.name, c.target, err)
		}
	}
}

func TestNamesInErrorsCannotConfuseATerminal(t *testing.T) {
	for name, want := range map[string]string{
		"../a b/é":     `tar member has unsafe path name: "../a b/é"`,
		"../\x1b[31m":  `tar member has unsafe path name: "../\x1b[31m"`,
		"../\xff":      `tar member has unsafe path name: "../\xff"`,
		"../new\nline": `tar member has unsafe path name: "../new\nline"`,
		"":             `tar member has empty name`,
	} {
		if got := CheckName(name).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
