package walarchive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/codec"
)

func TestSameContentIsThereAlreadyWhateverItsCompression(t *testing.T) {
	name := segmentName(1, 5)
	content := makeSegment(1, 5, "same")
	for _, stored := range compressions {
		for _, pushed := range compressions {
			dir := t.TempDir()
			path := writeFile(t, t.TempDir(), name, content)
			writeFile(t, dir, name+stored.Suffix(), compress(t, stored, content))
			r, err := push(t, dir, path, pushed)
			if err != nil || !r.AlreadyThere || r.Path != filepath.Join(dir, name+stored.Suffix()) {
				t.Errorf("%s over %s: %+v, %v", pushed, stored, r, err)
			}
			if got := names(t, dir); got != name+stored.Suffix() {
				t.Errorf("%s over %s: %s", pushed, stored, got)
			}
		}
	}
}

func TestOtherContentIsRefusedAndStays(t *testing.T) {
	name := segmentName(1, 5)
	there := makeSegment(1, 5, "there")
	for _, c := range []struct {
		what     string
		suffix   string
		existing []byte
		reason   string
	}{
		{"plain", "", there, "differ at byte 40"},
		{"gzip", ".gz", compress(t, codec.Gzip, there), "differ at byte 40"},
		{"lz4", ".lz4", compress(t, codec.LZ4, there), "differ at byte 40"},
		{"zstd", ".zst", compress(t, codec.Zstd, there), "differ at byte 40"},
		{"short", "", makeSegment(1, 5, "new")[:5000], "differ at byte 5000"},
		{"empty", "", nil, "differ at byte 0"},
		{"long", "", append(makeSegment(1, 5, "new"), 0), "differ at byte 1048576"},
		{"cut gzip", ".gz", compress(t, codec.Gzip, makeSegment(1, 5, "new"))[:100], "cannot be decompressed"},
	} {
		for _, pushed := range compressions {
			dir := t.TempDir()
			path := writeFile(t, t.TempDir(), name, makeSegment(1, 5, "new"))
			existing := writeFile(t, dir, name+c.suffix, c.existing)
			_, err := push(t, dir, path, pushed)
			var conflict *ConflictError
			if !errors.As(err, &conflict) || conflict.Existing != existing || conflict.Path != path || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s: %v", c.what, err)
			}
			if got, _ := os.ReadFile(existing); !bytes.Equal(got, c.existing) || names(t, dir) != name+c.suffix {
				t.Errorf("%s: the archive was changed: %s", c.what, names(t, dir))
			}
		}
	}
}

func TestPartialSegmentIsThereWhenTheArchiveHasMoreOfIt(t *testing.T) {
	name := segmentName(1, 5) + ".partial"
	for _, c := range []struct {
		what          string
		existing      []byte
		new           string
		there, refuse bool
	}{
		{"the same", makeSegment(1, 5, "abc"), "abc", true, false},
		{"more", makeSegment(1, 5, "abcdef"), "abc", true, false},
		{"less", makeSegment(1, 5, "ab"), "abc", false, true},
		{"other", makeSegment(1, 5, "abX"), "abc", false, true},
		{"the same, not filled up", makeSegment(1, 5, "abc")[:50], "abc", true, false},
		{"less, not filled up", makeSegment(1, 5, "abc")[:42], "abc", false, true},
	} {
		dir := t.TempDir()
		writeFile(t, dir, name, c.existing)
		r, err := push(t, dir, writeFile(t, t.TempDir(), name, makeSegment(1, 5, c.new)), codec.None)
		var conflict *ConflictError
		if r.AlreadyThere != c.there || errors.As(err, &conflict) != c.refuse {
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
	}
	dir := t.TempDir()
	writeFile(t, dir, segmentName(1, 5)+".gz.partial", compress(t, codec.Gzip, makeSegment(1, 5, "ab"))[:60])
	if _, err := push(t, dir, writeFile(t, t.TempDir(), name, makeSegment(1, 5, "abc")), codec.None); err != nil {
		t.Errorf("beside one that is compressed: %v", err)
	}
	whole := segmentName(1, 5)
	if _, err := push(t, dir, writeFile(t, t.TempDir(), whole, makeSegment(1, 5, "abcdef")), codec.Zstd); err != nil {
		t.Errorf("the whole one beside partial ones: %v", err)
	}
	if got, err := fetch(t, dir, whole); err != nil || !bytes.Equal(got, makeSegment(1, 5, "abcdef")) {
		t.Errorf("fetched %d bytes, %v", len(got), err)
	}
}

func TestWhatIsNoSegmentIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	o := binary.NativeEndian
	change := func(f func(b []byte)) []byte {
		b := makeSegment(2, 5, "x")
		f(b)
		return b
	}
	name := segmentName(2, 5)
	for why, content := range map[string][]byte{
		"it has 0 bytes":                        nil,
		"it has 39 bytes":                       makeSegment(2, 5, "")[:39],
		"it has 1048575 bytes, should have":     makeSegment(2, 5, "")[:testSize-1],
		"it has 1048577 bytes, should have":     append(makeSegment(2, 5, ""), 0),
		"magic number 0000":                     make([]byte, testSize),
		"magic number C118":                     change(func(b []byte) { o.PutUint16(b, 0xC118) }),
		"no long header":                        change(func(b []byte) { o.PutUint16(b[2:], 4) }),
		"timeline 3 in the page header":         change(func(b []byte) { o.PutUint32(b[4:], 3) }),
		"timeline 0 in the page header":         change(func(b []byte) { o.PutUint32(b[4:], 0) }),
		"page address 0/600000":                 change(func(b []byte) { o.PutUint64(b[8:], 6<<20) }),
		"segment size 1048577":                  change(func(b []byte) { o.PutUint32(b[32:], testSize+1) }),
		"block size 3":                          change(func(b []byte) { o.PutUint32(b[36:], 3) }),
		"it has 1048576 bytes, should have 167": change(func(b []byte) { o.PutUint32(b[32:], 16<<20); o.PutUint64(b[8:], 5*16<<20) }),
	} {
		dir := t.TempDir()
		_, err := push(t, dir, writeFile(t, t.TempDir(), name, content), codec.Gzip)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
		if got := names(t, dir); got != "" {
			t.Errorf("%s: the archive has %s", why, got)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := push(t, dir, path, codec.None); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("directory: %v", err)
	}
	for _, name := range []string{"x", "000000020000000000000005.gz", "00000000.history", "000000000000000000000005", "00000002000000000000000a", "0000000200000000000000055"} {
		var refused *NameError
		if _, err := push(t, dir, writeFile(t, t.TempDir(), name, makeSegment(2, 5, "")), codec.None); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSegmentsOfVersionsToComeAreTaken(t *testing.T) {
	o := binary.NativeEndian
	for what, change := range map[string]func(b []byte){
		"magic":                   func(b []byte) { o.PutUint16(b, 0xD2FF) },
		"flags":                   func(b []byte) { o.PutUint16(b[2:], 0xFFFF) },
		"first page of ancestor":  func(b []byte) { o.PutUint32(b[4:], 1) },
		"blocks of 64 kB":         func(b []byte) { o.PutUint32(b[36:], 64<<10) },
		"another system":          func(b []byte) { o.PutUint64(b[24:], 1) },
		"continued record of 2 G": func(b []byte) { o.PutUint32(b[16:], 1<<31) },
	} {
		b := makeSegment(2, 5, "x")
		change(b)
		if _, err := push(t, t.TempDir(), writeFile(t, t.TempDir(), segmentName(2, 5), b), codec.None); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// pushAll pushes files at the same time, each with a compression, and returns
// their errors.
func pushAll(t *testing.T, dir string, paths []string, with []codec.Algorithm) []error {
	t.Helper()
	errs := make([]error, len(paths))
	var wg sync.WaitGroup
	for i := range paths {
		a := open(t, dir)
		wg.Go(func() {
			_, errs[i] = a.Push(context.Background(), PushOptions{From: paths[i], Compression: codec.Spec{Algorithm: with[i]}})
		})
	}
	wg.Wait()
	return errs
}

func TestPushesOfTheSameFileAtTheSameTimeAllSucceed(t *testing.T) {
	name := segmentName(1, 5)
	content := makeSegment(1, 5, "x")
	path := writeFile(t, t.TempDir(), name, content)
	for _, with := range [][]codec.Algorithm{
		{codec.None, codec.None, codec.None, codec.None},
		{codec.None, codec.Gzip, codec.Zstd, codec.LZ4},
	} {
		for range 3 {
			dir := t.TempDir()
			for i, err := range pushAll(t, dir, []string{path, path, path, path}, with) {
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
			if got, err := fetch(t, dir, name); err != nil || !bytes.Equal(got, content) {
				t.Errorf("fetched %d bytes, %v", len(got), err)
			}
			if got := names(t, dir); strings.Contains(got, "pgbasin") {
				t.Errorf("left behind: %s", got)
			}
		}
	}
}

func TestOfTwoFilesWithOneNameAtMostOneIsPushed(t *testing.T) {
	name := segmentName(1, 5)
	a := writeFile(t, t.TempDir(), name, makeSegment(1, 5, "a"))
	b := writeFile(t, t.TempDir(), name, makeSegment(1, 5, "b"))
	for _, with := range [][]codec.Algorithm{
		{codec.None, codec.None, codec.None, codec.None},
		{codec.None, codec.Gzip, codec.None, codec.Gzip},
	} {
		for range 5 {
			errs := pushAll(t, t.TempDir(), []string{a, b, a, b}, with)
			if (errs[0] == nil || errs[2] == nil) && (errs[1] == nil || errs[3] == nil) {
				t.Errorf("both are there: %v", errs)
			}
			for i, err := range errs {
				var conflict *ConflictError
				if err != nil && !errors.As(err, &conflict) {
					t.Errorf("%d: %v", i, err)
				}
			}
		}
	}
}

func TestWhatKilledPushesLeaveIsRemovedAndWhatIsInUseIsNot(t *testing.T) {
	dir := t.TempDir()
	archived := writeFile(t, dir, segmentName(1, 4), makeSegment(1, 4, "four"))
	// Killed between the link and the removal of the other name.
	if err := os.Link(archived, filepath.Join(dir, tempPrefix+"0")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, tempPrefix+"2", []byte("half"))
	writeFile(t, dir, tempPrefix+"3", nil)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	inUse, err := newTemp(root, tempPrefix, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := push(t, dir, writeFile(t, t.TempDir(), segmentName(1, 5), makeSegment(1, 5, "five")), codec.None); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir), filepath.Base(inUse.path)+" "+segmentName(1, 4)+" "+segmentName(1, 5); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, err := os.ReadFile(archived); err != nil || !bytes.Equal(got, makeSegment(1, 4, "four")) {
		t.Errorf("the archived file: %d bytes, %v", len(got), err)
	}
	inUse.discard()
	if got := names(t, dir); strings.Contains(got, "pgbasin") {
		t.Errorf("left behind: %s", got)
	}
}

func TestFileWithoutLocksIsLeftAloneUntilItIsOld(t *testing.T) {
	if stale(notLockable, time.Now().Add(-time.Hour)) || !stale(notLockable, time.Now().Add(-2*abandoned)) || !stale(lockedHere, time.Now()) || stale(lockedByOther, time.Time{}) {
		t.Error("age and lock are not taken for what they are")
	}
}

func TestCanceledPushLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, t.TempDir(), segmentName(1, 5), makeSegment(1, 5, "x"))
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	cancel(stop)
	for _, a := range compressions {
		_, err := open(t, dir).Push(ctx, PushOptions{From: path, Compression: codec.Spec{Algorithm: a}})
		if !errors.Is(err, stop) || names(t, dir) != "" {
			t.Errorf("%s: %v; %s", a, err, names(t, dir))
		}
	}
}

func TestModeFollowsTheDirectory(t *testing.T) {
	for dirMode, want := range map[os.FileMode]os.FileMode{0o700: 0o600, 0o750: 0o640, 0o777: 0o640} {
		dir := t.TempDir()
		if err := os.Chmod(dir, dirMode); err != nil {
			t.Fatal(err)
		}
		r, err := push(t, dir, writeFile(t, t.TempDir(), segmentName(1, 5), makeSegment(1, 5, "x")), codec.None)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(r.Path); err != nil || info.Mode() != want {
			t.Errorf("%o: %v, %v", dirMode, info.Mode(), err)
		}
	}
}
