package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
)

// sound is WAL of three segments, with records of all lengths and one that goes
// from the first segment into the second.
func sound() (b *builder, records []lsn.LSN) {
	b = newBuilder(1)
	for i := 0; b.pos < SegmentStart(4, b.segSize)-8192; i++ {
		size := 10 + i*7%200
		if i == 1200 {
			b.fill(SegmentStart(2, b.segSize) - 1000)
			b.long = b.pos
			size = 15000
		}
		// Not zeros, which would hide that a bit is not looked at.
		records = append(records, b.record(10, 0, 5, mainBody(bytes.Repeat([]byte{0xA5, byte(i)}, size))))
	}
	return b, records
}

// sum makes the checksum right of a record that lies in one page.
func (b *builder) sum(at lsn.LSN) {
	p := b.bytes(at)
	total := binary.LittleEndian.Uint32(p)
	if uint64(at%8192)+uint64(total) > 8192 {
		return
	}
	sum := crc32.Update(crc32.Checksum(p[recordHeaderSize:total], castagnoli), castagnoli, p[:recordCRCOffset])
	binary.LittleEndian.PutUint32(p[recordCRCOffset:], sum)
}

// bad adds a record with that body and something behind it, and returns where it
// begins.
func (b *builder) bad(body []byte) lsn.LSN {
	at := b.record(10, 0, 5, body)
	b.fill(b.pos + 100)
	return at
}

func (b *builder) options(start lsn.LSN) ReaderOptions {
	return ReaderOptions{SegmentSize: b.segSize, Timeline: b.tli, Start: start, End: b.pos}
}

// broken expects damage: of a range with an end, and of all that there is.
func broken(t *testing.T, src Source, opt ReaderOptions) *RecordError {
	t.Helper()
	err := Verify(t.Context(), src, opt)
	var e *RecordError
	if !errors.As(err, &e) {
		t.Fatalf("the range is accepted: %v", err)
	}
	opt.End = 0
	r := NewReader(src, opt)
	readAll(t, r)
	if r.Err() == nil || r.End() != EndBroken || r.Err().Error() != err.Error() {
		t.Fatalf("read without an end it is %v, %v, not %v", r.End(), r.Err(), err)
	}
	return e
}

func TestSoundWALIsAccepted(t *testing.T) {
	b, _ := sound()
	if err := Verify(t.Context(), b.source(), b.options(1<<20)); err != nil {
		t.Error(err)
	}
}

func TestEveryBitOfARecordCounts(t *testing.T) {
	b, records := sound()
	// One within a page, one that goes on over a page's end, and one whose header does.
	var chosen [3]lsn.LSN
	for i, at := range records[:len(records)-1] {
		room, size := 8192-at%8192, records[i+1]-at
		switch {
		case size > 150:
		case chosen[0] == 0 && room > 4000:
			chosen[0] = at
		case chosen[2] == 0 && room < recordHeaderSize:
			chosen[2] = at
		case chosen[1] == 0 && room > recordHeaderSize && records[i+1]/8192 == at/8192+1:
			chosen[1] = at
		}
	}
	for i, at := range chosen {
		if at == 0 {
			t.Fatalf("no record of kind %d", i)
		}
		opt := b.options(at &^ 8191)
		length := lsn.LSN(uint32(*b.at(at)) | uint32(*b.at(at + 1))<<8)
		for pos := at; length > 0; pos++ {
			if pos%8192 == 0 {
				pos += shortHeaderSize
			}
			length--
			for bit := range 8 {
				*b.at(pos) ^= 1 << bit
				err := Verify(t.Context(), b.source(), opt)
				var e *RecordError
				if !errors.As(err, &e) || e.LSN != at && e.LSN/8192 != at/8192+1 {
					t.Fatalf("bit %d of byte %d of the record at %v: %v", bit, pos-at, at, err)
				}
				*b.at(pos) ^= 1 << bit
			}
		}
	}
}

func TestEveryBitOfAPageHeaderCounts(t *testing.T) {
	b, _ := sound()
	// A page in the middle of a long record, and the first page of a segment.
	for _, tt := range []struct {
		at   lsn.LSN
		size int
	}{{SegmentStart(2, b.segSize) + 8192, shortHeaderSize}, {SegmentStart(2, b.segSize), longHeaderSize}} {
		for i := range tt.size {
			if i >= 20 && i < 24 {
				continue // padding
			}
			for bit := range 8 {
				if i == 2 && bit == 2 {
					continue // XLP_BKP_REMOVABLE, which nobody reads
				}
				p := b.at(tt.at + lsn.LSN(i))
				*p ^= 1 << bit
				err := Verify(t.Context(), b.source(), b.options(SegmentStart(2, b.segSize)-3*8192))
				if e := (*RecordError)(nil); !errors.As(err, &e) {
					t.Fatalf("bit %d of byte %d of the header at %v: %v", bit, i, tt.at, err)
				}
				*p ^= 1 << bit
			}
		}
	}
}

func TestDamageIsNamed(t *testing.T) {
	seg := func(no uint64) string { return SegmentName(1, no, MinSegmentSize) }
	for _, tt := range []struct {
		name   string
		damage func(b *builder, records []lsn.LSN, src *memory, opt *ReaderOptions) (at lsn.LSN)
		reason string
		seg    string
	}{
		{"a flipped bit", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			*b.at(records[200] + 30) ^= 4
			return records[200]
		}, "incorrect resource manager data checksum in record", seg(1)},
		{"a wrong back-link", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			*b.at(records[200] + 8) -= 8
			b.sum(records[200])
			return records[200]
		}, "record with incorrect prev-link", seg(1)},
		{"a length that no record has", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			copy(b.bytes(records[200]), []byte{23, 0, 0, 0})
			return records[200]
		}, "invalid record length: expected at least 24, got 23", seg(1)},
		{"a length that goes on where there is another record", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			copy(b.bytes(records[200]), []byte{0, 0, 0, 0x30})
			return records[200]
		}, "contrecord", seg(1)},
		{"another length in the next page", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			*b.at(SegmentStart(2, b.segSize) + 8192 + 16) ^= 1
			return b.long
		}, "invalid contrecord length", seg(2)},
		{"a record that does not go on", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			*b.at(SegmentStart(2, b.segSize) + 8192 + 2) ^= infoContrecord
			return b.long
		}, "there is no contrecord flag", seg(2)},
		{"a page of another place", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize) + 5*8192
			copy(b.bytes(at)[:8192], b.bytes(at - 3*8192)[:8192])
			return at
		}, "unexpected pageaddr 0/304000", seg(3)},
		{"a page of an earlier segment", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize) + 5*8192
			copy(b.bytes(at)[:8192], b.bytes(at - 1<<20)[:8192])
			return 0
		}, "unexpected pageaddr 0/20A000", seg(3)},
		{"a page of zeros", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize) + 5*8192
			clear(b.bytes(at)[:8192])
			return 0
		}, "invalid magic number 0000", seg(3)},
		{"zeros from a record to the end of its page", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := records[200]
			clear(b.bytes(at)[:8192-at%8192])
			return at
		}, "invalid record length: expected at least 24, got 0", seg(1)},
		{"zeros from a record to the end of its segment", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			clear(b.bytes(records[200]))
			return records[200]
		}, "invalid record length: expected at least 24, got 0", seg(1)},
		{"zeros over some records", func(b *builder, records []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			clear(b.bytes(records[200])[:300])
			return records[200]
		}, "invalid record length: expected at least 24, got 0", seg(1)},
		{"another magic number", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize) + 5*8192
			*b.at(at) ^= 1
			return at
		}, "invalid magic number D119", seg(3)},
		{"info bits that nobody knows", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize) + 5*8192
			*b.at(at + 2) ^= 0x10
			return at
		}, "invalid info bits 001", seg(3)},
		{"a segment with a short header", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize)
			*b.at(at + 2) ^= infoLongHeader
			return at
		}, "invalid info bits 000", seg(3)},
		{"another system identifier", func(_ *builder, _ []lsn.LSN, _ *memory, opt *ReaderOptions) lsn.LSN {
			opt.SystemID = 1
			return 1 << 20
		}, "WAL file is from different database system: WAL file database system identifier is 7123456789012345678, expected 1", seg(1)},
		{"a segment of another system", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize)
			*b.at(at + 24) ^= 1
			return at
		}, "WAL file is from different database system", seg(3)},
		{"another size of segments", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			*b.at(1<<20 + 34) ^= 0x30
			return 1 << 20
		}, "incorrect segment size 2097152 in page header, expected 1048576", seg(1)},
		{"another size of pages", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			at := SegmentStart(3, b.segSize)
			*b.at(at + 37) = 0x40
			return at
		}, "incorrect XLOG_BLCKSZ 16384 in page header", seg(3)},
		{"a segment that is cut", func(b *builder, _ []lsn.LSN, src *memory, _ *ReaderOptions) lsn.LSN {
			src.files[seg(2)] = src.files[seg(2)][:300000]
			return SegmentStart(2, b.segSize) + 36*8192
		}, "WAL segment ends after 300000 of 1048576 bytes", seg(2)},
		{"an empty segment", func(b *builder, _ []lsn.LSN, src *memory, _ *ReaderOptions) lsn.LSN {
			src.files[seg(3)] = []byte{}
			return SegmentStart(3, b.segSize)
		}, "WAL segment ends after 0 of 1048576 bytes", seg(3)},
		{"a segment whose decompression fails", func(b *builder, _ []lsn.LSN, src *memory, _ *ReaderOptions) lsn.LSN {
			src.files[seg(2)] = src.files[seg(2)][:300000]
			src.fail = io.ErrUnexpectedEOF
			return SegmentStart(2, b.segSize) + 36*8192
		}, "could not read WAL segment", seg(2)},
		{"a segment that is missing", func(b *builder, _ []lsn.LSN, src *memory, _ *ReaderOptions) lsn.LSN {
			delete(src.files, seg(2))
			return b.long
		}, "WAL segment is not there", seg(2)},
		{"a block that comes before another", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			block := append([]byte{1, 0, 0, 0}, make([]byte, 16)...)
			return b.bad(append(block, append([]byte{1, blockSameRel, 0, 0}, make([]byte, 4)...)...))
		}, "out-of-order block_id", seg(3)},
		{"a block number that does not exist", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			return b.bad([]byte{33, 0, 0, 0, 0})
		}, "invalid block_id", seg(3)},
		{"a block of the relation of none", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			return b.bad([]byte{0, blockSameRel, 0, 0, 0, 0, 0, 0})
		}, "BKPBLOCK_SAME_REL set but no previous rel", seg(3)},
		{"a block with data that is not there", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			return b.bad(append([]byte{0, blockHasData, 0, 0}, make([]byte, 16)...))
		}, "BKPBLOCK_HAS_DATA set, but no data included", seg(3)},
		{"a block with data that is not announced", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			return b.bad(append([]byte{0, 0, 1, 0}, make([]byte, 17)...))
		}, "BKPBLOCK_HAS_DATA not set, but data length is not 0", seg(3)},
		{"main data that is longer than the record", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			return b.bad([]byte{blockIDDataShort, 5, 1, 2, 3, 4})
		}, "record with invalid length", seg(3)},
		{"main data that is shorter than the record", func(b *builder, _ []lsn.LSN, _ *memory, _ *ReaderOptions) lsn.LSN {
			return b.bad([]byte{blockIDDataShort, 3, 1, 2, 3, 4})
		}, "record with invalid length", seg(3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, records := sound()
			src, opt := b.source(), b.options(1<<20)
			want := tt.damage(b, records, &src, &opt)
			opt.End = b.pos
			e := broken(t, src, opt)
			if want == 0 { // the record that goes on in the page
				i, _ := slices.BinarySearch(records, SegmentStart(3, b.segSize)+5*8192)
				want = records[i-1]
				if e.Offset != 5*8192 {
					t.Errorf("found at offset %d", e.Offset)
				}
			}
			if !strings.Contains(e.Error(), tt.reason) || e.LSN != want || e.Segment != tt.seg || e.Timeline != 1 {
				t.Errorf("%v: LSN %v, segment %s; want %q, %v, %s", e, e.LSN, e.Segment, tt.reason, want, tt.seg)
			}
		})
	}
}

func TestVerifySaysWhyItStopped(t *testing.T) {
	b, records := sound()
	opt := b.options(1 << 20)
	opt.End = records[100] + 10
	if err := Verify(t.Context(), b.source(), opt); err == nil || !strings.Contains(err.Error(), "record goes past the end") {
		t.Errorf("an end within a record: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Verify(ctx, b.source(), b.options(1<<20)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := Verify(t.Context(), memory{segSize: 1 << 20}, b.options(1<<20)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	opt = b.options(SegmentStart(2, b.segSize) + 8192)
	opt.End = SegmentStart(2, b.segSize) + 8192 + 2000
	if err := Verify(t.Context(), b.source(), opt); err == nil || !strings.Contains(err.Error(), "could not find a valid record") {
		t.Errorf("a range within a record: %v", err)
	}
	opt.End = opt.Start
	if err := Verify(t.Context(), b.source(), opt); err != nil {
		t.Errorf("an empty range: %v", err)
	}
	opt = b.options(1 << 20)
	opt.End = 0
	if err := Verify(t.Context(), b.source(), opt); err == nil {
		t.Error("a range without an end is accepted")
	}
}
