package walarchive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/wal"
)

const testSize = 1 << 20

// makeSegment returns a segment whose first page has a header that fits.
func makeSegment(tli uint32, segno uint64, text string) []byte {
	b := make([]byte, testSize)
	o := binary.NativeEndian
	o.PutUint16(b[0:], 0xD118)
	o.PutUint16(b[2:], 0x0002)
	o.PutUint32(b[4:], tli)
	o.PutUint64(b[8:], uint64(wal.SegmentStart(segno, testSize)))
	o.PutUint64(b[24:], 7300000000000000001)
	o.PutUint32(b[32:], testSize)
	o.PutUint32(b[36:], 8192)
	copy(b[headerSize:], text)
	return b
}

func segmentName(tli uint32, segno uint64) string { return wal.SegmentName(tli, segno, testSize) }

func writeFile(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func compress(t testing.TB, a codec.Algorithm, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := codec.NewWriter(&b, codec.Spec{Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func fetch(t testing.TB, dir, name string) ([]byte, error) {
	t.Helper()
	out := t.TempDir()
	to := filepath.Join(out, "RECOVERYXLOG")
	err := open(t, dir).Fetch(context.Background(), name, to)
	got, readErr := os.ReadFile(to)
	if err == nil && readErr != nil {
		t.Fatal(readErr)
	}
	if err != nil && !errors.Is(readErr, fs.ErrNotExist) {
		t.Errorf("there is something at the path after %v", err)
	}
	left, _ := os.ReadDir(out)
	if len(left) > 1 || err != nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return got, err
}

func push(t testing.TB, dir, path string, a codec.Algorithm) (PushResult, error) {
	t.Helper()
	return open(t, dir).Push(context.Background(), PushOptions{From: path, Compression: codec.Spec{Algorithm: a}})
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestWhatIsPushedIsFetchedWithEveryCompression(t *testing.T) {
	for _, a := range compressions {
		from, dir := t.TempDir(), t.TempDir()
		for name, content := range map[string][]byte{
			segmentName(1, 5):                             makeSegment(1, 5, "five"),
			segmentName(1, 6) + ".partial":                makeSegment(1, 6, "six"),
			"00000002.history":                            []byte("1\t0/600100\tno recovery target specified\n"),
			segmentName(1, 5) + ".00000028.backup":        []byte("START WAL LOCATION: 0/500028 (file x)\n"),
			segmentName(0xA, 0x1003) + ".00000028.backup": nil,
		} {
			r, err := push(t, dir, writeFile(t, from, name, content), a)
			if err != nil || r.AlreadyThere {
				t.Fatalf("%s: %+v, %v", name, r, err)
			}
			got, err := fetch(t, dir, name)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s %s: %d bytes, %v", a, name, len(got), err)
			}
		}
		s := segmentName(1, 5)
		want := strings.Join([]string{s + ".00000028.backup", s + a.Suffix()}, " ")
		if a == codec.None {
			want = strings.Join([]string{s, s + ".00000028.backup"}, " ")
		}
		if got := names(t, dir); !strings.Contains(got, want) || strings.Contains(got, "pgbasin") {
			t.Errorf("%s: %s", a, got)
		}
	}
}

func TestOpenSegmentAndReadHistoryReadWhatIsStored(t *testing.T) {
	dir := t.TempDir()
	want := makeSegment(2, 9, "nine")
	writeFile(t, dir, segmentName(2, 9)+".zst", compress(t, codec.Zstd, want))
	writeFile(t, dir, "00000002.history", []byte("1\t0/900010\tx\n"))
	a := open(t, dir)
	r, err := a.OpenSegment(2, 9)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.OpenSegment(2, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing segment: %v", err)
	}
	if h, err := a.ReadHistory(2); err != nil || len(h) != 1 || h[0].End != 0x900010 {
		t.Errorf("history: %v, %v", h, err)
	}
	if h, err := a.ReadHistory(1); err != nil || h != nil {
		t.Errorf("history of timeline 1: %v, %v", h, err)
	}
	if _, err := a.ReadHistory(3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing history: %v", err)
	}
}

func TestOpenedSegmentsTellWhetherTheyArePartialAndPlainOnesSeek(t *testing.T) {
	dir := t.TempDir()
	content := makeSegment(1, 5, "five")
	for name, c := range map[string]struct {
		content       []byte
		partial, seek bool
	}{
		segmentName(1, 5):                  {content, false, true},
		segmentName(1, 5) + ".gz":          {compress(t, codec.Gzip, content), false, false},
		segmentName(1, 5) + ".partial":     {content[:50000], true, true},
		segmentName(1, 5) + ".lz4.partial": {compress(t, codec.LZ4, content[:50000]), true, false},
	} {
		path := writeFile(t, dir, name, c.content)
		r, err := open(t, dir).OpenSegment(1, 5)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.(wal.PartialSegment).Partial(); got != c.partial {
			t.Errorf("%s: partial is %v", name, got)
		}
		if s, ok := r.(io.Seeker); ok != c.seek {
			t.Errorf("%s: seeker is %v", name, ok)
		} else if ok {
			if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
				t.Error(err)
			}
			at, err := s.Seek(40, io.SeekStart)
			head := make([]byte, 4)
			if _, readErr := io.ReadFull(r, head); at != 40 || err != nil || readErr != nil || string(head) != "five" {
				t.Errorf("%s: at %d is %q, %v %v", name, at, head, err, readErr)
			}
			rest, err := io.ReadAll(r)
			if want := len(c.content) - 44; len(rest) != want || err != nil {
				t.Errorf("%s: %d bytes, want %d, %v", name, len(rest), want, err)
			}
		}
		if err := errors.Join(r.Close(), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
}
