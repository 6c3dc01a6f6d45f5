package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

var someTime = time.Date(2026, 7, 5, 13, 30, 1, 234567000, time.UTC)

func TestReaderReadsWhatWasWritten(t *testing.T) {
	for _, tt := range []struct {
		segSize int64
		block   int
	}{{1 << 20, 8192}, {4 << 20, 8192}, {1 << 20, 1024}, {1 << 20, 4096}, {1 << 20, 32768}, {1 << 20, 65536}} {
		t.Run(fmt.Sprintf("%d/%d", tt.segSize, tt.block), func(t *testing.T) {
			b := newBuilder(3)
			b.segSize, b.block = tt.segSize, tt.block
			b.pos = SegmentStart(3, b.segSize)
			first := b.pos
			var want []lsn.LSN
			var bodies [][]byte
			// Sizes at which a header is cut at a page's end, and some that fill pages and segments.
			for i := 0; b.pos < first+lsn.LSN(2*b.segSize); i++ {
				size := (i * 37) % 600
				switch {
				case i%100 == 99:
					size = b.block * 3
				case i == 500:
					size = int(b.segSize) + 12345
				}
				main := bytes.Repeat([]byte{byte(i)}, size)
				want = append(want, b.record(10, 0, uint32(i), mainBody(main)))
				bodies = append(bodies, main)
			}
			r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: first, KeepBytes: 8 << 20})
			defer r.Close()
			for i := 0; r.Next(); i++ {
				rec := r.Record()
				if rec.LSN != want[i] || rec.XID != uint32(i) || !bytes.Equal(rec.MainData, bodies[i]) {
					t.Fatalf("record %d of %d bytes is at %v, want %d at %v", i, len(rec.MainData), rec.LSN, len(bodies[i]), want[i])
				}
				if i > 0 && rec.Prev != want[i-1] {
					t.Fatalf("the record before %v is %v", rec.LSN, rec.Prev)
				}
			}
			if r.Err() != nil || r.End() != EndZero || r.EndLSN() != b.pos {
				t.Errorf("ends at %v with %v, %v; want %v", r.EndLSN(), r.End(), r.Err(), b.pos)
			}
		})
	}
}

func TestFirstRecordIsTheOneAtOrAfterStart(t *testing.T) {
	b := newBuilder(1)
	base := b.pos
	var all []lsn.LSN
	for i := 0; b.pos < base+12*8192; i++ {
		size := 100 + i%300
		if i == 40 {
			size = 5 * 8192
		}
		all = append(all, b.record(10, 0, 1, mainBody(make([]byte, size))))
	}
	for start := base; start <= all[len(all)-1]; start += 44 {
		r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: start})
		i, _ := slices.BinarySearch(all, start)
		if !r.Next() || r.Record().LSN != all[i] {
			t.Fatalf("from %v: %v, %v; want %v", start, r.Record().LSN, r.Err(), all[i])
		}
		r.Close()
	}
}

func TestReaderStopsBeforeTheEndThatIsWanted(t *testing.T) {
	b := newBuilder(1)
	base := b.pos
	var starts, ends []lsn.LSN
	for i := 0; b.pos < base+4*8192; i++ {
		starts = append(starts, b.record(10, 0, 1, mainBody(make([]byte, 50+i%300))))
		ends = append(ends, b.end)
	}
	for end := base + 1; end < ends[len(ends)-1]; end += 12 {
		opt := ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: base, End: end}
		r := NewReader(b.source(), opt)
		n := len(readAll(t, r))
		want, _ := slices.BinarySearch(ends, end+1)
		reason := EndReached
		if starts[want] < end {
			reason = EndInsideRecord
		}
		if r.Err() != nil || n != want || r.End() != reason {
			t.Fatalf("until %v: %d records until %v, %v, %v; want %d, %v", end, n, r.EndLSN(), r.End(), r.Err(), want, reason)
		}
		if err := Verify(t.Context(), b.source(), opt); (err != nil) != (n == 0 || r.End() == EndInsideRecord && end%8192 != 0) {
			t.Fatalf("until %v: %v, after %d records, %v", end, err, n, r.End())
		}
	}
}

func TestReaderSkipsTheRestOfASegmentAfterASwitch(t *testing.T) {
	b := newBuilder(1)
	base := b.pos
	b.fill(base + 100000)
	at := b.switchSegment()
	// What lies there is nobody's.
	copy(b.bytes(at + 8192)[:1000], bytes.Repeat([]byte("garbage"), 1000))
	next := b.commit(7, someTime)
	var switched bool
	r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: base})
	defer r.Close()
	for r.Next() {
		rec := r.Record()
		if rec.IsSwitch() {
			switched = rec.LSN == at && rec.Next == SegmentStart(2, b.segSize)
		}
	}
	if !switched || r.Record().LSN != next || r.Err() != nil {
		t.Errorf("switched: %v, last record %v, %v", switched, r.Record().LSN, r.Err())
	}
}

// Recovery after a crash overwrites a record that was not written whole.
func overwrite(t testing.TB, named bool) *builder {
	t.Helper()
	b := newBuilder(1)
	b.fill(b.pos + 3*8192)
	prev, pos := b.prev, b.pos
	lost := b.record(10, 0, 9, mainBody(make([]byte, 20000)))
	// The record's first page was written, its second not.
	b.pos = (pos + 8191) &^ 8191
	clear(b.bytes(b.pos))
	b.prev = prev
	if named {
		lost--
	}
	at := b.pos
	b.page(infoOverwriteContrecord, 0)
	b.record(RmgrXLOG, xlogOverwriteContrecord, 0, mainBody(appendTime(appendLSN(nil, lost), someTime)))
	if b.prev != at+shortHeaderSize {
		t.Fatalf("record at %v", b.prev)
	}
	b.fill(b.pos + 8192)
	return b
}

func appendLSN(b []byte, l lsn.LSN) []byte {
	for i := range 8 {
		b = append(b, byte(l>>(8*i)))
	}
	return b
}

func TestReaderFollowsAnOverwrittenRecord(t *testing.T) {
	b := overwrite(t, false)
	found := false
	r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: 1 << 20})
	defer r.Close()
	for r.Next() {
		if was, at, ok := r.Record().OverwriteContrecord(); ok {
			found = was < r.Record().LSN && at.Equal(someTime)
		}
	}
	if !found || r.Err() != nil || r.EndLSN() != b.pos {
		t.Errorf("found: %v, end %v, %v", found, r.EndLSN(), r.Err())
	}
	r = NewReader(overwrite(t, true).source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: 1 << 20})
	readAll(t, r)
	if r.Err() == nil || !strings.Contains(r.Err().Error(), "mismatching overwritten LSN") {
		t.Errorf("another record is overwritten: %v", r.Err())
	}
}

// branch makes timelines 1, 2 and 3: each goes on in the segment in which the one
// before ends. Timeline 1 has more records behind that.
func branch() (b *builder, history []Ancestor, records []lsn.LSN) {
	b = newBuilder(1)
	fill := func(to lsn.LSN) {
		for b.pos < to {
			records = append(records, b.record(10, 0, b.tli, mainBody(make([]byte, 300))))
		}
	}
	fill(2<<20 + 5*8192 + 100)
	for range 2 {
		end, prev := b.pos, b.prev
		history = append(history, Ancestor{b.tli, end})
		no := SegmentNumber(end, b.segSize)
		content := b.files[SegmentName(b.tli, no, b.segSize)]
		b.tli++
		b.files[SegmentName(b.tli, no, b.segSize)] = append(slices.Clone(content[:SegmentOffset(end, b.segSize)]), make([]byte, b.segSize-SegmentOffset(end, b.segSize))...)
		old := b.tli - 1
		new := b.tli
		b.tli = old
		b.fill(end + 30000)
		b.tli, b.pos, b.prev = new, end, prev
		fill(end + 1<<20)
	}
	return b, history, records
}

func TestReaderFollowsTimelines(t *testing.T) {
	b, history, want := branch()
	opt := ReaderOptions{SegmentSize: b.segSize, Timeline: 3, History: history, Start: 1 << 20}
	r := NewReader(b.source(), opt)
	if got := readAll(t, r); !slices.Equal(got, want) || r.Err() != nil || r.End() != EndZero {
		t.Fatalf("%d records of %d, %v, %v", len(got), len(want), r.End(), r.Err())
	}

	// Without the segment that timeline 2 begins in, WAL ends where timeline 1 does.
	src := b.source()
	first := SegmentName(2, 2, b.segSize)
	lost := src.files[first]
	delete(src.files, first)
	delete(src.files, SegmentName(3, 3, b.segSize))
	delete(src.files, SegmentName(2, 3, b.segSize))
	r = NewReader(src, opt)
	readAll(t, r)
	if r.End() != EndOfSegments || r.EndLSN() != history[0].End || r.Detail().Segment != first {
		t.Errorf("without the segment of timeline 2: %v at %v, %v", r.End(), r.EndLSN(), r.Detail())
	}
	// And when that is zero before its end, the WAL is broken: there was more.
	old := src.files[SegmentName(1, 2, b.segSize)]
	whole := slices.Clone(old)
	clear(old[3*8192:])
	r = NewReader(src, opt)
	if readAll(t, r); r.End() != EndBroken || r.EndLSN() >= history[0].End {
		t.Errorf("timeline 1 ends before its end: %v at %v", r.End(), r.EndLSN())
	}
	copy(old, whole)
	src.files[first] = lost

	// One timeline alone, as pg_waldump --timeline reads it.
	r = NewReader(src, ReaderOptions{SegmentSize: b.segSize, Timeline: 2, Start: history[0].End})
	if got := readAll(t, r); len(got) == 0 || got[0] != history[0].End || r.Err() != nil {
		t.Errorf("timeline 2: %d records, %v", len(got), r.Err())
	}
}

func TestReaderRefusesPagesOfOtherTimelines(t *testing.T) {
	b, history, _ := branch()
	read := func(opt ReaderOptions) error {
		opt.SegmentSize, opt.Start = b.segSize, history[0].End
		r := NewReader(b.source(), opt)
		readAll(t, r)
		return r.Err()
	}
	b.files[SegmentName(2, 2, b.segSize)][6*8192+4] = 9
	if err := read(ReaderOptions{Timeline: 2}); err == nil || !strings.Contains(err.Error(), "unexpected timeline ID 9") {
		t.Errorf("a later timeline's page was taken: %v", err)
	}
	b.files[SegmentName(2, 2, b.segSize)][6*8192+4] = 2
	b.files[SegmentName(2, 2, b.segSize)][7*8192+4] = 1
	if err := read(ReaderOptions{Timeline: 2}); err == nil || !strings.Contains(err.Error(), "out-of-sequence timeline ID 1 (after 2)") {
		t.Errorf("an earlier timeline's page was taken: %v", err)
	}
	b.files[SegmentName(2, 2, b.segSize)][7*8192+4] = 2
	if err := read(ReaderOptions{Timeline: 8, History: []Ancestor{{2, 1 << 40}}}); err == nil || !strings.Contains(err.Error(), "unexpected timeline ID 1") {
		t.Errorf("a page of a timeline that is no ancestor was taken: %v", err)
	}
}

// What follows the last record of a running server, or in a segment that was
// never finished.
func TestWALEndsCleanly(t *testing.T) {
	make1 := func() *builder {
		b := newBuilder(5)
		b.fill(b.pos + 300000)
		return b
	}
	// recycled is a segment of the same server, some segments ago.
	recycled := func() []byte {
		old := newBuilder(2)
		old.fill(SegmentStart(3, old.segSize) + 1000)
		return old.files[SegmentName(1, 2, old.segSize)]
	}
	seg := func(no uint64) string { return SegmentName(1, no, MinSegmentSize) }
	for _, tt := range []struct {
		name string
		make func() (*builder, memory)
		want End
	}{
		{"zeros", func() (*builder, memory) { b := make1(); return b, b.source() }, EndZero},
		{"zeros, and a zero segment follows", func() (*builder, memory) {
			b := make1()
			b.files[seg(6)] = make([]byte, b.segSize)
			return b, b.source()
		}, EndZero},
		{"recycled pages follow", func() (*builder, memory) {
			b := make1()
			at := SegmentOffset((b.pos+8191)&^8191, b.segSize)
			copy(b.files[seg(5)][at:], recycled()[at:])
			return b, b.source()
		}, EndZero},
		{"recycled segments follow", func() (*builder, memory) {
			b := make1()
			b.files[seg(6)] = recycled()
			return b, b.source()
		}, EndZero},
		{"a record goes on where a recycled page is", func() (*builder, memory) {
			b := make1()
			pos := b.pos
			b.record(10, 0, 1, mainBody(make([]byte, 20000)))
			b.pos = pos
			at := SegmentOffset((pos+8191)&^8191, b.segSize)
			copy(b.files[seg(5)][at:], recycled()[at:])
			return b, b.source()
		}, EndStale},
		{"a record goes on where zeros are", func() (*builder, memory) {
			b := make1()
			pos := b.pos
			b.record(10, 0, 1, mainBody(make([]byte, 20000)))
			b.pos = pos
			clear(b.files[seg(5)][SegmentOffset((pos+8191)&^8191, b.segSize):])
			return b, b.source()
		}, EndZero},
		{"the segment in which a timeline begins", func() (*builder, memory) {
			b := make1()
			name := SegmentName(2, 5, b.segSize)
			content := slices.Clone(b.files[seg(5)])
			b.files[name], b.tli = content, 2
			last := SegmentOffset(b.pos&^8191, b.segSize)
			for at := last + 8192; at < b.segSize; at += 8192 {
				copy(content[at:], content[last:last+8192])
			}
			b.fill(b.pos + 30000)
			return b, b.source()
		}, EndZero},
		{"the next segment is not there", func() (*builder, memory) {
			b := newBuilder(5)
			b.fill(SegmentStart(6, b.segSize) - 2000)
			b.switchSegment()
			return b, b.source()
		}, EndOfSegments},
		{"the next segment is not there, in a record", func() (*builder, memory) {
			b := newBuilder(5)
			b.fill(SegmentStart(6, b.segSize) - 2000)
			pos := b.pos
			b.record(10, 0, 1, mainBody(make([]byte, 20000)))
			b.pos = pos
			delete(b.files, seg(6))
			return b, b.source()
		}, EndOfSegments},
		{"a partial segment is short", func() (*builder, memory) {
			b := make1()
			m := b.source()
			m.files[seg(5)] = m.files[seg(5)][:SegmentOffset((b.pos+8191)&^8191, b.segSize)]
			pos := b.pos
			for b.pos>>13 == pos>>13 {
				pos = b.pos
				b.record(10, 0, 1, mainBody(make([]byte, 100)))
			}
			b.pos = pos
			m.partial = map[string]bool{seg(5): true}
			return b, m
		}, EndPartial},
		{"a compressed partial segment is cut", func() (*builder, memory) {
			b := make1()
			m := b.source()
			m.files[seg(5)] = m.files[seg(5)][:SegmentOffset(b.pos, b.segSize)]
			m.partial = map[string]bool{seg(5): true}
			m.fail = io.ErrUnexpectedEOF
			return b, m
		}, EndZero},
		{"a partial segment ends in a record", func() (*builder, memory) {
			b := make1()
			pos := b.pos
			b.record(10, 0, 1, mainBody(bytes.Repeat([]byte{1}, 100)))
			clear(b.files[seg(5)][SegmentOffset(pos, b.segSize)+60:])
			b.pos = pos
			m := b.source()
			m.partial = map[string]bool{seg(5): true}
			return b, m
		}, EndPartial},
		{"a partial segment ends in a record's header", func() (*builder, memory) {
			b := make1()
			pos := b.pos
			b.record(10, 0, 1, mainBody(bytes.Repeat([]byte{1}, 100)))
			clear(b.files[seg(5)][SegmentOffset(pos, b.segSize)+8:])
			b.pos = pos
			m := b.source()
			m.partial = map[string]bool{seg(5): true}
			return b, m
		}, EndPartial},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, src := tt.make()
			r := NewReader(src, ReaderOptions{SegmentSize: b.segSize, Timeline: b.tli, Start: 5 << 20})
			n := len(readAll(t, r))
			if r.Err() != nil || r.End() != tt.want || n == 0 || r.EndLSN() != b.pos {
				t.Errorf("%d records until %v, %v, %v; want %v, %v", n, r.EndLSN(), r.End(), r.Err(), b.pos, tt.want)
			}
			if r.Detail() == nil {
				t.Error("nothing says what was found")
			}
			err := Verify(t.Context(), src, ReaderOptions{SegmentSize: b.segSize, Timeline: b.tli, Start: 5 << 20, End: 7 << 20})
			if broken := (*RecordError)(nil); !errors.As(err, &broken) {
				t.Errorf("a range that goes on is accepted: %v", err)
			}
		})
	}
}

func TestUnknownMagicIsAWarning(t *testing.T) {
	b := newBuilder(1)
	b.magic = 0xD1FF
	b.fill(b.pos + 30000)
	var said []string
	r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: 1 << 20, Warning: func(m string) { said = append(said, m) }})
	if n := len(readAll(t, r)); n == 0 || r.Err() != nil {
		t.Errorf("%d records, %v", n, r.Err())
	}
	if len(said) != 1 || !strings.Contains(said[0], "D1FF") {
		t.Errorf("warnings: %q", said)
	}
}

func TestReaderNeedsItsFirstSegment(t *testing.T) {
	r := NewReader(memory{segSize: 1 << 20}, ReaderOptions{SegmentSize: 1 << 20, Timeline: 1, Start: 1 << 20})
	if r.Next() || !errors.Is(r.Err(), fs.ErrNotExist) {
		t.Errorf("no segment at all: %v", r.Err())
	}
	if r.Next() {
		t.Error("Next goes on after the end")
	}
}

func TestReaderRefusesSizesThatNoServerHas(t *testing.T) {
	for _, size := range []int64{-1, 1, 1<<20 + 1, 1 << 31} {
		r := NewReader(memory{segSize: 1 << 20}, ReaderOptions{SegmentSize: size, Timeline: 1, Start: 1})
		if r.Next() || r.Err() == nil {
			t.Errorf("segments of %d bytes are taken", size)
		}
	}
	r := NewReader(memory{segSize: 1 << 20}, ReaderOptions{Timeline: 1})
	if r.Next() || r.Err() == nil {
		t.Error("no start is taken")
	}
}

func TestCloseEndsTheReading(t *testing.T) {
	b := newBuilder(1)
	b.fill(b.pos + 30000)
	r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: 1 << 20})
	if !r.Next() {
		t.Fatal(r.Err())
	}
	r.Close()
	if r.Next() || r.Err() != nil {
		t.Errorf("after Close: %v", r.Err())
	}
}

// growing is a Source whose segment has more in it each time it is opened.
type growing struct {
	memory
	name  string
	sizes []int64
	opens *int
}

func (g growing) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	rc, err := g.memory.OpenSegment(tli, segno)
	if err == nil && SegmentName(tli, segno, g.segSize) == g.name {
		n := min(*g.opens, len(g.sizes)-1)
		*g.opens++
		s := rc.(*stream)
		// What was read before is as it was, behind it there is all that there is by now.
		content := slices.Clone(s.rest)
		clear(content[g.sizes[n]:min(int64(len(content)), g.sizes[n]+100000)])
		s.rest = content
	}
	return rc, err
}

func TestASegmentThatGrowsWhileItIsReadIsNotBroken(t *testing.T) {
	b := newBuilder(1)
	b.fill(b.pos + 900000)
	g := growing{b.source(), SegmentName(1, 1, b.segSize), []int64{300000, 500000, 1 << 20}, new(int)}
	r := NewReader(g, ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: 1 << 20})
	readAll(t, r)
	if r.Err() != nil || r.EndLSN() != b.pos || *g.opens != 3 {
		t.Errorf("read until %v of %v, opened %d times: %v", r.EndLSN(), b.pos, *g.opens, r.Err())
	}
	*g.opens, g.sizes = 0, []int64{300000}
	r = NewReader(g, ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: 1 << 20})
	if readAll(t, r); r.Err() == nil || *g.opens != 2 {
		t.Errorf("opened %d times: %v", *g.opens, r.Err())
	}
}
