package walarchive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
)

func FuzzParseStored(f *testing.F) {
	for _, name := range []string{
		segmentName(1, 5), segmentName(1, 5) + ".gz.partial", segmentName(1, 5) + ".partial.zst", segmentName(1, 5) + ".lz4.partial.new",
		"00000002.history.gz", segmentName(1, 5) + ".00000028.backup", "x.partial", ".gz",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := parseStored(name)
		if !ok {
			return
		}
		if strings.ContainsAny(name, "/\\\x00") || !IsName(s.walName.String()) || s.timeline() == 0 {
			t.Fatalf("%q is taken for %q", name, s.walName)
		}
		for _, c := range candidates(s.walName) {
			if c == s {
				return
			}
		}
		t.Errorf("%q is %q, but not looked for under it", name, s.walName)
	})
}

// Whatever a file has, what comes out of it is a whole segment that fits the
// name, or nothing.
func FuzzFetch(f *testing.F) {
	good := makeSegment(1, 5, "x")
	f.Add(good[:4000], byte(0))
	f.Add(compress(f, codec.Gzip, good), byte(1))
	f.Add(compress(f, codec.Zstd, good)[:60], byte(5))
	f.Add([]byte{}, byte(4))
	f.Fuzz(func(t *testing.T, content []byte, as byte) {
		dir := t.TempDir()
		name := segmentName(1, 5)
		n := walName{segment, name}
		if as&4 != 0 {
			n.kind = partialSegment
		}
		path := writeFile(t, dir, storedAs(n, compressions[as&3]), content)
		to := filepath.Join(dir, "to")
		err := open(t, dir).Fetch(context.Background(), name, to)
		got, readErr := os.ReadFile(to)
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) && !(n.kind == partialSegment && errors.Is(err, fs.ErrNotExist)) {
				t.Error(err)
			}
			if readErr == nil || names(t, dir) != filepath.Base(path) {
				t.Errorf("left behind: %s", names(t, dir))
			}
			return
		}
		h := readHeader(got)
		if why := h.check(n); why != "" || int64(len(got)) != h.segmentSize || readErr != nil {
			t.Errorf("%d bytes came out: %s, %v", len(got), why, readErr)
		}
		if n.kind == segment && compressions[as&3] == codec.None && !bytes.Equal(got, content) {
			t.Error("other bytes came out than went in")
		}
	})
}
