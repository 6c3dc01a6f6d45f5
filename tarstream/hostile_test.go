package tarstream

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever an archive holds that is meant to harm, the error names it, and
// nothing is written outside of the directory.
func TestHostileArchivesAreRefusedByNameAndWriteNothingOutside(t *testing.T) {
	version := member{name: "PG_VERSION", content: "15\n"}
	tblspc := member{name: "pg_tblspc/", typ: '5'}
	long := strings.Repeat("n", 256)
	of := func(members ...member) []byte {
		return archive(t, append([]member{version, tblspc}, members...)...)
	}
	// with puts an extended header in front of a member.
	with := func(extended []byte, m member) []byte {
		front := archive(t, version, tblspc)
		return join(front[:len(front)-2*BlockSize], extended, archive(t, m))
	}
	canary := member{name: "x", content: "harm"}
	for what, c := range map[string]struct {
		archive []byte
		name    string // in the error
	}{
		"absolute name":              {of(member{name: "/outside/harm", content: "x"}), "/outside/harm"},
		"absolute directory":         {of(member{name: "/outside/harm/", typ: '5'}), "/outside/harm"},
		"name that leads up":         {of(member{name: "../outside/harm", content: "x"}), "../outside/harm"},
		"name that leads up further": {of(member{name: "base/../../outside/harm", content: "x"}), "base/../../outside/harm"},
		"name that is up":            {of(member{name: "..", typ: '5'}), ".."},
		"file called dot":            {of(member{name: "base/.", content: "x"}), "base/."},

		"file through a tablespace's link": {of(member{name: "pg_tblspc/1", typ: '2', link: "/outside"},
			member{name: "pg_tblspc/1/harm", content: "x"}), "pg_tblspc/1/harm"},
		"directory through a tablespace's link": {of(member{name: "pg_tblspc/1", typ: '2', link: "/outside"},
			member{name: "pg_tblspc/1/harm/", typ: '5'}), "pg_tblspc/1/harm"},
		"file through pg_wal's link": {of(member{name: "pg_wal", typ: '2', link: "/outside"},
			member{name: "pg_wal/harm", content: "x"}), "pg_wal/harm"},
		"file in place of a link": {of(member{name: "pg_wal", typ: '2', link: "/outside/canary"},
			member{name: "pg_wal", content: "harm"}), "pg_wal"},
		"link in place of a directory": {of(member{name: "pg_wal/", typ: '5'},
			member{name: "pg_wal", typ: '2', link: "/outside"}), "pg_wal"},
		"link that none may be":          {of(member{name: "base", typ: '2', link: "/outside"}), "base"},
		"link to above":                  {of(member{name: "pg_tblspc/1", typ: '2', link: "../../outside"}), "../../outside"},
		"link below a tablespace's name": {of(member{name: "pg_tblspc/1/harm", typ: '2', link: "/outside"}), "pg_tblspc/1/harm"},

		"hard link":        {of(member{name: "base/x", typ: '1', link: "../outside/canary"}), "base/x"},
		"hard link inside": {of(member{name: "base/x", typ: '1', link: "PG_VERSION"}), "base/x"},
		"character device": {of(member{name: "base/null", typ: '3'}), "base/null"},
		"block device":     {of(member{name: "base/sda", typ: '4'}), "base/sda"},
		"fifo":             {of(member{name: "base/fifo", typ: '6'}), "base/fifo"},
		"unknown type":     {of(member{name: "base/what", typ: 'Z'}), "base/what"},
		"sparse file":      {of(member{name: "base/holes", typ: 'S'}), "base/holes"},

		"file twice":             {of(version), "PG_VERSION"},
		"directory twice":        {of(tblspc), "pg_tblspc"},
		"file and directory":     {of(member{name: "PG_VERSION/", typ: '5'}), "PG_VERSION"},
		"directory and file":     {of(member{name: "pg_tblspc", content: "x"}), "pg_tblspc"},
		"file below a file":      {of(member{name: "PG_VERSION/harm", content: "x"}), "PG_VERSION/harm"},
		"file twice, with a dot": {of(member{name: "./PG_VERSION", content: "x"}), "PG_VERSION"},

		"9 GiB in pax":      {with(pax("size=9663676416"), canary), `"x"`},
		"9 GiB in base-256": {withSize(of(canary), "x", "\x80\x00\x00\x00\x00\x00\x00\x02\x40\x00\x00\x00"), `"x"`},
		"8 EiB in base-256": {withSize(of(canary), "x", "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), `"x"`},
		"negative size":     {withSize(of(canary), "x", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), `"x"`},

		"name over 255 bytes in pax":       {with(pax("path="+long), canary), long[:200]},
		"name over 255 bytes from GNU":     {with(extension('L', "base/"+long+"/x\x00"), canary), long[:200]},
		"directory over 255 bytes":         {with(pax("path="+long), member{name: "d/", typ: '5'}), long[:200]},
		"link over 255 bytes":              {with(pax("path=pg_tblspc/"+long), member{name: "l", typ: '2', link: "/x"}), long[:200]},
		"pax name that leads up":           {with(pax("path=../outside/harm"), canary), "../outside/harm"},
		"pax name that is absolute":        {with(pax("path=/outside/harm"), canary), "/outside/harm"},
		"pax name with a zero byte":        {with(pax("path=harm\x00/../x"), canary), "harm"},
		"pax target that leads up":         {with(pax("linkpath=../outside"), member{name: "pg_tblspc/1", typ: '2', link: "/x"}), "../outside"},
		"pax name of a device":             {with(pax("path=base/device"), member{name: "x", typ: '3'}), "base/device"},
		"GNU name with a zero byte":        {with(extension('L', "harm\x00/../x\x00"), canary), "harm"},
		"GNU name that leads up":           {with(extension('L', "../outside/harm\x00"), canary), "../outside/harm"},
		"GNU name that leads up, hidden":   {with(extension('L', "./base//.././../outside/harm\x00"), canary), "../outside/harm"},
		"GNU target that leads up":         {with(extension('K', "../../outside\x00"), member{name: "pg_tblspc/1", typ: '2', link: "/x"}), "../../outside"},
		"GNU target with a zero byte":      {with(extension('K', "/x\x00y\x00"), member{name: "pg_tblspc/1", typ: '2', link: "/x"}), `"/x\x00y"`},
		"name that leads up in the prefix": {archive(t, member{name: "data/", typ: '5'}, member{name: "data/../harm", content: "x"}), "data/../harm"},
	} {
		for _, piece := range []int{1, 700, 1 << 20} {
			parent := t.TempDir()
			dir, outside := filepath.Join(parent, "inside"), filepath.Join(parent, "outside")
			for _, d := range []string{dir, outside} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "canary"), []byte("alive"), 0o600); err != nil {
				t.Fatal(err)
			}
			before := outsideOf(t, parent)

			x, err := NewExtractor(ExtractOptions{Dir: dir, Link: func(_, target string) (string, error) {
				return strings.Replace(target, "/outside", outside, 1), nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			err = parseLenient(x, LenientOptions{}, c.archive, piece)
			x.Close()
			if err == nil || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%s: want an error about %s, got %v", what, c.name, err)
			}
			if after := outsideOf(t, parent); !slices.Equal(before, after) {
				t.Errorf("%s: outside is now %q", what, after)
			}
		}
	}
}

// outsideOf lists what is below parent, but not what is in its "inside".
func outsideOf(t testing.TB, parent string) []string {
	return slices.DeleteFunc(tree(t, parent), func(line string) bool { return strings.HasPrefix(line, `"inside/`) })
}

// withSize puts a size into the header of the archive's member of that name.
func withSize(a []byte, name, size string) []byte {
	a = slices.Clone(a)
	for off := 0; off < len(a); off += BlockSize {
		b := (*[BlockSize]byte)(a[off:])
		if cString(b[:nameLen]) == name {
			copy(b[sizeOff:], size)
			setChecksum(b)
		}
	}
	return a
}

func TestExtractorRefusesNamesThatNoFileSystemTakes(t *testing.T) {
	for _, h := range []*Header{
		{Name: strings.Repeat("n", 256)},
		{Name: strings.Repeat("n", 256), Type: Directory},
		{Name: strings.Repeat("n", 256) + "/x"},
	} {
		x, err := NewExtractor(ExtractOptions{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		var ne *NameError
		if err := WriteFile(x, h, nil); !errors.As(err, &ne) || ne.Name != h.Name {
			t.Errorf("got %v", err)
		}
		x.Close()
	}
}
