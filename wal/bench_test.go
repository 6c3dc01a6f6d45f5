package wal

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
)

// mixed fills a segment of 16 MB as a busy server does: mostly short records,
// full-page images, commits.
func mixed() *builder {
	b := newBuilder(1)
	b.segSize = DefaultSegmentSize
	b.pos = SegmentStart(1, b.segSize)
	rel := le(uint32(1663), uint32(5), uint32(16384))
	image := bytes.Repeat([]byte("0123456789abcdef"), 300)
	for i := 0; b.pos < SegmentStart(2, b.segSize)-20000; i++ {
		switch {
		case i%40 == 0:
			b.record(10, 0, 700, le(uint8(0), uint8(blockHasImage), uint16(0), uint16(len(image)), uint16(200), uint8(imageHasHole|imageApply), rel, uint32(i),
				uint8(blockIDDataShort), uint8(3), image, []byte("abc")))
		case i%5 == 0:
			b.commit(700, someTime)
		default:
			b.record(11, 0, 700, le(uint8(0), uint8(blockHasData), uint16(90), rel, uint32(i), uint8(blockIDDataShort), uint8(8), make([]byte, 98)))
		}
	}
	return b
}

func BenchmarkReader(b *testing.B) {
	wal := mixed()
	src := wal.source()
	opt := ReaderOptions{SegmentSize: wal.segSize, Timeline: 1, Start: SegmentStart(1, wal.segSize), End: wal.pos}
	b.SetBytes(int64(opt.End - opt.Start))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r := NewReader(src, opt)
		for r.Next() {
			n++
		}
		if r.Err() != nil || r.End() != EndReached {
			b.Fatal(r.End(), r.Err())
		}
	}
	b.ReportMetric(float64(n)/float64(b.N), "records/op")
}

func TestReadingAllocatesNothing(t *testing.T) {
	b := mixed()
	r := NewReader(b.source(), ReaderOptions{SegmentSize: b.segSize, Timeline: 1, Start: SegmentStart(1, b.segSize)})
	defer r.Close()
	var commits, blocks int
	read := func() {
		for range 20000 {
			if !r.Next() {
				t.Fatal(r.Err())
			}
			if _, ok := r.Record().Transaction(); ok {
				commits++
			}
			for range r.Record().Blocks() {
				blocks++
			}
		}
	}
	// The first round, which opens the segment, is not counted.
	if n := testing.AllocsPerRun(1, read); n != 0 || commits == 0 || blocks == 0 {
		t.Errorf("%v allocations for 20000 records; %d commits and %d blocks seen", n, commits, blocks)
	}
}

// huge is a Source of one record that is as long as a record can be.
type huge struct{ total uint32 }

func (h huge) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	return &hugeSegment{h: h, addr: SegmentStart(segno, MaxSegmentSize)}, nil
}

type hugeSegment struct {
	h    huge
	addr lsn.LSN
	page []byte
	rest []byte
}

func (s *hugeSegment) Close() error { return nil }

func (s *hugeSegment) Read(p []byte) (int, error) {
	const start = MaxSegmentSize
	if len(s.rest) == 0 {
		if s.page == nil {
			s.page = make([]byte, DefaultBlockSize)
		}
		s.rest = s.page
		clear(s.page[:100])
		binary.LittleEndian.PutUint16(s.page, magic18)
		binary.LittleEndian.PutUint32(s.page[4:], 1)
		binary.LittleEndian.PutUint64(s.page[8:], uint64(s.addr))
		body := s.page[shortHeaderSize:]
		if s.addr%MaxSegmentSize == 0 {
			s.page[2] = infoLongHeader
			binary.LittleEndian.PutUint64(body, 1)
			binary.LittleEndian.PutUint32(body[8:], MaxSegmentSize)
			binary.LittleEndian.PutUint32(body[12:], DefaultBlockSize)
			body = body[longHeaderSize-shortHeaderSize:]
		}
		if page := int64(s.addr-start) / DefaultBlockSize; page > 0 {
			s.page[2] |= infoContrecord
			done := (DefaultBlockSize - longHeaderSize) + (page-1)*(DefaultBlockSize-shortHeaderSize)
			binary.LittleEndian.PutUint32(s.page[16:], s.h.total-uint32(done))
		} else {
			binary.LittleEndian.PutUint32(body, s.h.total)
			body[17] = 10
			body[recordHeaderSize] = blockIDDataLong
			binary.LittleEndian.PutUint32(body[recordHeaderSize+1:], s.h.total-recordHeaderSize-5)
		}
		s.addr += DefaultBlockSize
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func TestMemoryDoesNotGrowWithTheRecord(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(huge{1000 << 20}, ReaderOptions{SegmentSize: MaxSegmentSize, Timeline: 1, Start: MaxSegmentSize})
	defer r.Close()
	r.Next()
	runtime.ReadMemStats(&after)
	// Its checksum is not made right: all of it was read to tell.
	if r.Detail() == nil || r.Detail().Reason != "incorrect resource manager data checksum in record" {
		t.Fatalf("%v", r.Detail())
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for a record of 1000 MiB", grown)
	}
}
