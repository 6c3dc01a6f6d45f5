package walarchive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
)

func TestListTellsSegmentsGapsAndHistories(t *testing.T) {
	dir := t.TempDir()
	bytes := int64(0)
	put := func(name string, content []byte) {
		t.Helper()
		writeFile(t, dir, name, content)
		bytes += int64(len(content))
	}
	for _, n := range []uint64{0xFFE, 0xFFF, 0x1000, 0x1003} { // across 4 GB
		put(segmentName(1, n), makeSegment(1, n, ""))
	}
	put(segmentName(1, 0x1004)+".gz", compress(t, codec.Gzip, makeSegment(1, 0x1004, "")))
	put(segmentName(1, 0x1003)+".zst", nil)
	put(segmentName(1, 0x1003)+".partial", nil) // whole, too
	put(segmentName(1, 0x1005)+".partial", nil)
	put(segmentName(1, 0x1005)+".lz4.partial", nil)
	put(segmentName(2, 0x1004), makeSegment(2, 0x1004, ""))
	put("00000002.history", nil)
	put("00000003.history.gz", nil)
	put(segmentName(1, 0xFFE)+".00000028.backup", nil)
	put("0000000100000000FFFFFFFF", nil) // none of this size
	for _, name := range []string{"x", ".pgbasin-push.0", "00000000.history", "00000004.history.tmp", segmentName(1, 7) + ".bak", segmentName(1, 7) + ".tmp"} {
		writeFile(t, dir, name, []byte("not counted"))
	}
	if err := os.Mkdir(filepath.Join(dir, segmentName(1, 9)), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir).List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := &Listing{
		SegmentSize: testSize,
		Timelines: []Timeline{
			{ID: 1, Ranges: []Range{{0xFFE, 0x1000}, {0x1003, 0x1004}}, Partial: []uint64{0x1005}},
			{ID: 2, History: true, Ranges: []Range{{0x1004, 0x1004}}},
			{ID: 3, History: true},
		},
		Backups: []string{segmentName(1, 0xFFE) + ".00000028.backup"},
		Files:   14, Bytes: bytes,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if gaps := got.Timelines[0].Gaps(); len(gaps) != 1 || gaps[0] != (Range{0x1001, 0x1002}) {
		t.Errorf("gaps: %v", gaps)
	}
	if gaps := got.Timelines[1].Gaps(); gaps != nil {
		t.Errorf("gaps of timeline 2: %v", gaps)
	}
}

func TestEmptyArchiveHasNoSegmentSize(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "00000002.history", nil)
	a := open(t, dir)
	if size, err := a.SegmentSize(); size != 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%d, %v", size, err)
	}
	if _, err := a.OpenSegment(1, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	l, err := a.List(context.Background())
	if err != nil || l.SegmentSize != 0 || len(l.Timelines) != 1 || l.Files != 1 {
		t.Errorf("%+v, %v", l, err)
	}
	// One that comes later is seen.
	writeFile(t, dir, segmentName(1, 5)+".lz4", compress(t, codec.LZ4, makeSegment(1, 5, "")))
	if size, err := a.SegmentSize(); size != testSize || err != nil {
		t.Errorf("%d, %v", size, err)
	}
}

func TestSegmentSizeComesFromAnySegmentThatIsGood(t *testing.T) {
	dir := t.TempDir()
	for n := range uint64(20) {
		writeFile(t, dir, segmentName(1, 5+n), []byte("damaged"))
	}
	var corrupt *CorruptError
	if _, err := open(t, dir).SegmentSize(); !errors.As(err, &corrupt) {
		t.Errorf("damaged ones only: %v", err)
	}
	writeFile(t, dir, segmentName(1, 90)+".partial", makeSegment(1, 90, "")[:100])
	if size, err := open(t, dir).SegmentSize(); size != testSize || err != nil {
		t.Errorf("%d, %v", size, err)
	}
}
