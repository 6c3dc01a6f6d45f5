package walarchive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
)

func TestPartialSegmentIsTakenWhenThereIsNothingElse(t *testing.T) {
	whole := makeSegment(1, 5, strings.Repeat("0123456789abcdef", 40000))
	cut := func(n int) []byte {
		b := bytes.Clone(whole)
		clear(b[n:])
		return b
	}
	incompressible := bytes.Clone(whole)
	for i := headerSize; i < len(incompressible); i++ {
		incompressible[i] = byte(i*i>>7 ^ i>>3 ^ i*7)
	}
	gz := compress(t, codec.Gzip, incompressible)
	name := segmentName(1, 5)
	for what, c := range map[string]struct {
		files map[string][]byte
		want  []byte
	}{
		"of full size":           {map[string][]byte{name + ".partial": cut(9000)}, cut(9000)},
		"short":                  {map[string][]byte{name + ".partial": whole[:9000]}, cut(9000)},
		"only a header":          {map[string][]byte{name + ".partial": whole[:40]}, cut(40)},
		"compressed":             {map[string][]byte{name + ".lz4.partial": compress(t, codec.LZ4, whole[:9000])}, cut(9000)},
		"compressed afterwards":  {map[string][]byte{name + ".partial.zst": compress(t, codec.Zstd, cut(9000))}, cut(9000)},
		"received again":         {map[string][]byte{name + ".gz.partial": compress(t, codec.Gzip, whole[:9000]), name + ".gz.partial.new": compress(t, codec.Gzip, whole[:500])}, cut(9000)},
		"more received again":    {map[string][]byte{name + ".gz.partial": compress(t, codec.Gzip, whole[:500]), name + ".gz.partial.new": compress(t, codec.Gzip, whole[:9000])}, cut(9000)},
		"the fullest":            {map[string][]byte{name + ".partial": cut(600), name + ".zst.partial": compress(t, codec.Zstd, whole[:9000]), name + ".lz4.partial": nil}, cut(9000)},
		"one blank":              {map[string][]byte{name + ".partial": make([]byte, testSize), name + ".gz.partial": compress(t, codec.Gzip, whole[:9000])}, cut(9000)},
		"whole, plain":           {map[string][]byte{name: whole, name + ".partial": cut(9000)}, whole},
		"whole, compressed":      {map[string][]byte{name + ".gz": compress(t, codec.Gzip, whole), name + ".partial": cut(9000)}, whole},
		"plain before others":    {map[string][]byte{name: whole, name + ".gz": []byte("nonsense")}, whole},
		"good one of two whole":  {map[string][]byte{name: whole[:100], name + ".gz": compress(t, codec.Gzip, whole)}, whole},
		"blank, then nothing":    {map[string][]byte{name + ".partial": make([]byte, testSize)}, nil},
		"empty, then nothing":    {map[string][]byte{name + ".partial": nil, name + ".gz.partial": nil}, nil},
		"another":                {map[string][]byte{segmentName(1, 6) + ".partial": makeSegment(1, 6, "")}, nil},
		"name that is not WAL's": {map[string][]byte{name + ".partial.gz.partial": whole, name + ".new": whole, name + ".bz2": whole}, nil},
	} {
		dir := t.TempDir()
		for name, content := range c.files {
			writeFile(t, dir, name, content)
		}
		got, err := fetch(t, dir, name)
		if c.want == nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	dir := t.TempDir()
	writeFile(t, dir, name+".gz.partial", gz[:len(gz)/2])
	got, err := fetch(t, dir, name)
	if err != nil || len(got) != testSize {
		t.Fatalf("cut off: %d bytes, %v", len(got), err)
	}
	if n := commonPrefix(got, incompressible); n < 1000 || !blank(got[n:]) {
		t.Errorf("cut off: %d bytes are right, and what follows is not zeroes", n)
	}
}

func TestPartialSegmentIsNotTakenInPlaceOfOneThatTheServerHasWithMore(t *testing.T) {
	whole := makeSegment(1, 5, strings.Repeat("0123456789abcdef", 60000))
	cut := func(n int) []byte {
		b := bytes.Clone(whole)
		clear(b[n:])
		return b
	}
	name := segmentName(1, 5)
	for what, c := range map[string]struct {
		archive string // name of the file
		content []byte
		beside  []byte // nil if there is none
		missing bool
	}{
		"the server's has more":                 {name + ".partial", cut(9000), whole, true},
		"more, far behind":                      {name + ".partial", cut(700000), cut(800000), true},
		"compressed":                            {name + ".zst.partial", compress(t, codec.Zstd, whole[:9000]), whole, true},
		"the same":                              {name + ".partial", cut(9000), cut(9000), true},
		"shorter file":                          {name + ".partial", cut(9000), whole[:9000], true},
		"the archive has more":                  {name + ".partial", cut(9000), cut(8000), false},
		"more, compressed":                      {name + ".gz.partial", compress(t, codec.Gzip, whole[:300000]), cut(299999), false},
		"a file for reuse":                      {name + ".partial", cut(9000), makeSegment(1, 2, strings.Repeat("what was before ", 60000)), false},
		"nothing is there":                      {name + ".partial", cut(9000), nil, false},
		"an empty file":                         {name + ".partial", cut(9000), []byte{}, false},
		"a whole segment is taken all the same": {name, whole, whole, false},
	} {
		archive, out := t.TempDir(), t.TempDir()
		writeFile(t, archive, c.archive, c.content)
		if c.beside != nil {
			writeFile(t, out, name, c.beside)
		}
		to := filepath.Join(out, "RECOVERYXLOG")
		err := open(t, archive).Fetch(context.Background(), name, to)
		if c.missing && !errors.Is(err, fs.ErrNotExist) || !c.missing && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) != c.missing {
			t.Errorf("%s: what was fetched: %v", what, err)
		}
	}
}

func TestCorruptFilesAreNamedAndLeaveNothing(t *testing.T) {
	good := makeSegment(1, 5, strings.Repeat("some text ", 1000))
	name := segmentName(1, 5)
	cases := map[string]struct {
		file    string
		content []byte
	}{
		"it has 0 bytes":                       {name, nil},
		"it has 20 bytes":                      {name, good[:20]},
		"it has 524288 bytes, should have":     {name, good[:testSize/2]},
		"it has 1048577 bytes, should have":    {name, append(bytes.Clone(good), 0)},
		"page address 0/600000":                {name, makeSegment(1, 6, "")},
		"timeline 2":                           {name, makeSegment(2, 5, "")},
		"magic number 0000":                    {name, make([]byte, testSize)},
		"magic number 6F6E":                    {name, []byte(strings.Repeat("no", testSize/2))},
		"no long header":                       {name, append([]byte{0x18, 0xD1, 0, 0}, good[4:]...)},
		"page address 0/600000 in the page":    {name + ".partial", makeSegment(1, 6, "x")},
		"it has more than 1048576 bytes":       {name + ".zst", compress(t, codec.Zstd, append(bytes.Clone(good), 0))},
		"it has 1048575 bytes, should have":    {name + ".lz4", compress(t, codec.LZ4, good[:testSize-1])},
		"it has 0 bytes (nothing compressed)":  {name + ".gz", compress(t, codec.Gzip, nil)},
		"it cannot be decompressed (nonsense)": {name + ".gz", []byte("nonsense that is no gzip")},
		"it cannot be decompressed (empty)":    {name + ".zst", nil},
	}
	for _, a := range compressions[1:] {
		z := compress(t, a, good)
		cases["it cannot be decompressed ("+a.String()+" cut off)"] = struct {
			file    string
			content []byte
		}{name + a.Suffix(), z[:len(z)-3]}
	}
	for why, c := range cases {
		dir := t.TempDir()
		path := writeFile(t, dir, c.file, c.content)
		_, err := fetch(t, dir, name)
		why, _, _ = strings.Cut(why, " (")
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Path != path || !strings.Contains(err.Error(), why) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", why, err)
		} else if want := c.file == name && len(c.content) < testSize; corrupt.Short != want {
			t.Errorf("%s: short is %v", why, corrupt.Short)
		}
	}
}

func TestFileOfNoUseIsNotReadToItsEnd(t *testing.T) {
	// 20 MB of zeroes in a few kB, as a history.
	dir := t.TempDir()
	writeFile(t, dir, "00000002.history.zst", compress(t, codec.Zstd, make([]byte, 20<<20)))
	var corrupt *CorruptError
	if _, err := fetch(t, dir, "00000002.history"); !errors.As(err, &corrupt) {
		t.Error(err)
	}
	if _, err := open(t, dir).ReadHistory(2); !errors.As(err, &corrupt) {
		t.Error(err)
	}
}

func TestWhatIsInTheWayIsNotTakenForAMissingFile(t *testing.T) {
	dir := t.TempDir()
	name := segmentName(1, 5)
	for what, make := range map[string]func(path string) error{
		"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"link into air": func(path string) error { return os.Symlink("/nonexistent/x", path) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		var corrupt *CorruptError
		if _, err := fetch(t, dir, name); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	target := writeFile(t, t.TempDir(), "elsewhere", makeSegment(1, 5, "x"))
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, dir, name); err != nil {
		t.Errorf("link to a segment: %v", err)
	}
}

func TestArchiveThatIsGoneIsNotTakenForAnEmptyOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	var unreachable *UnreachableError
	if _, err := Open(dir); !errors.As(err, &unreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	if _, err := Open(writeFile(t, t.TempDir(), "x", nil)); !errors.As(err, &unreachable) {
		t.Errorf("not a directory: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "x")
	for what, err := range map[string]error{
		"Fetch":       a.Fetch(context.Background(), segmentName(1, 5), to),
		"OpenSegment": second(a.OpenSegment(1, 5)),
		"ReadHistory": second(a.ReadHistory(1)),
		"List":        second(a.List(context.Background())),
	} {
		if !errors.As(err, &unreachable) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFetchReplacesRegularFilesOnly(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	name := segmentName(1, 5)
	writeFile(t, dir, name, makeSegment(1, 5, "x"))
	fetchTo := func(to string) error { return open(t, dir).Fetch(context.Background(), name, to) }
	old := writeFile(t, out, "old", []byte("old"))
	if err := fetchTo(old); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(old); !bytes.Equal(got, makeSegment(1, 5, "x")) {
		t.Errorf("%d bytes", len(got))
	}
	kept := writeFile(t, out, "kept", []byte("kept"))
	link := filepath.Join(out, "link")
	if err := os.Symlink(kept, link); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{link, out, filepath.Join(out, "none", "x"), filepath.Join(old, "x")} {
		var refused *PathError
		if err := fetchTo(to); !errors.As(err, &refused) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if got, _ := os.ReadFile(kept); string(got) != "kept" {
		t.Errorf("behind the link is %q", got)
	}
	if got := names(t, out); got != "kept link old" {
		t.Errorf("there is %s", got)
	}
}

func TestFetchTakesOverFromOneThatWasKilled(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	writeFile(t, dir, "00000002.history", []byte("1\t0/1\tx\n"))
	to := filepath.Join(out, "RECOVERYHISTORY")
	writeFile(t, out, "RECOVERYHISTORY"+fetchInfix+"0", []byte("half"))
	if err := open(t, dir).Fetch(context.Background(), "00000002.history", to); err != nil {
		t.Fatal(err)
	}
	if got := names(t, out); got != "RECOVERYHISTORY" {
		t.Errorf("there is %s", got)
	}
}

// A segment that becomes whole while it is looked for must not be missed between
// its two names.
func TestSegmentThatBecomesWholeIsNotMissed(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	name := segmentName(1, 5)
	z := compress(t, codec.Gzip, makeSegment(1, 5, "x"))
	for i := range 40 {
		partial := writeFile(t, dir, name+".gz.partial", z)
		a := open(t, dir)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := os.Rename(partial, filepath.Join(dir, name+".gz")); err != nil {
				t.Error(err)
			}
		})
		if err := a.Fetch(context.Background(), name, filepath.Join(out, strconv.Itoa(i%2))); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		wg.Wait()
		if err := os.Remove(filepath.Join(dir, name+".gz")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCanceledFetchLeavesNothing(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	cancel(stop)
	for _, a := range compressions {
		name := segmentName(1, uint64(5+a))
		writeFile(t, dir, name+a.Suffix(), compress(t, a, makeSegment(1, uint64(5+a), "x")))
		if err := open(t, dir).Fetch(ctx, name, filepath.Join(out, "x")); !errors.Is(err, stop) || names(t, out) != "" {
			t.Errorf("%s: %v; %s", a, err, names(t, out))
		}
	}
}
