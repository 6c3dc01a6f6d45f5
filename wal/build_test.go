package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// builder writes WAL as a server does.
type builder struct {
	segSize int64
	block   int
	magic   uint16
	tli     uint32
	sysID   uint64

	pos   lsn.LSN // where the next record goes, or the page
	prev  lsn.LSN
	end   lsn.LSN // of the last record, not rounded up
	long  lsn.LSN // a record that crosses segments
	files map[string][]byte

	current    []byte // the segment that was written last
	currentTLI uint32
	currentNo  uint64
}

const testSystemID = 7123456789012345678

// newBuilder starts at the beginning of the given segment.
func newBuilder(segno uint64) *builder {
	return &builder{
		segSize: MinSegmentSize, block: DefaultBlockSize, magic: magic18, tli: 1, sysID: testSystemID,
		pos: SegmentStart(segno, MinSegmentSize), files: map[string][]byte{},
	}
}

// page makes sure that pos is behind a page's header.
func (b *builder) page(info uint16, rem uint32) []byte {
	no := SegmentNumber(b.pos, b.segSize)
	if b.current == nil || b.tli != b.currentTLI || b.currentNo != no {
		name := SegmentName(b.tli, no, b.segSize)
		if b.files[name] == nil {
			b.files[name] = make([]byte, b.segSize)
		}
		b.current, b.currentTLI, b.currentNo = b.files[name], b.tli, no
	}
	off := SegmentOffset(b.pos, b.segSize)
	start := off - off%int64(b.block)
	p := b.current[start : start+int64(b.block)]
	if off != start {
		return p[off-start:]
	}
	clear(p)
	size := shortHeaderSize
	if off == 0 {
		info |= infoLongHeader
		size = longHeaderSize
		binary.LittleEndian.PutUint64(p[24:], b.sysID)
		binary.LittleEndian.PutUint32(p[32:], uint32(b.segSize))
		binary.LittleEndian.PutUint32(p[36:], uint32(b.block))
	}
	binary.LittleEndian.PutUint16(p, b.magic)
	binary.LittleEndian.PutUint16(p[2:], info)
	binary.LittleEndian.PutUint32(p[4:], b.tli)
	binary.LittleEndian.PutUint64(p[8:], uint64(b.pos))
	binary.LittleEndian.PutUint32(p[16:], rem)
	b.pos += lsn.LSN(size)
	return p[size:]
}

// record adds a record with that body (headers of blocks and data, their data, and
// the main data) and returns where it begins.
func (b *builder) record(rmgr, info uint8, xid uint32, body []byte) lsn.LSN {
	rec := make([]byte, recordHeaderSize, recordHeaderSize+len(body))
	rec = append(rec, body...)
	binary.LittleEndian.PutUint32(rec, uint32(len(rec)))
	binary.LittleEndian.PutUint32(rec[4:], xid)
	binary.LittleEndian.PutUint64(rec[8:], uint64(b.prev))
	rec[16], rec[17] = info, rmgr
	sum := crc32.Update(crc32.Checksum(body, castagnoli), castagnoli, rec[:recordCRCOffset])
	binary.LittleEndian.PutUint32(rec[recordCRCOffset:], sum)
	p := b.page(0, 0)
	start := b.pos
	for {
		n := copy(p, rec)
		rec = rec[n:]
		b.pos += lsn.LSN(n)
		if len(rec) == 0 {
			break
		}
		p = b.page(infoContrecord, uint32(len(rec)))
	}
	b.end = b.pos
	b.pos = (b.pos + 7) &^ 7
	b.prev = start
	return start
}

// fill adds records until the next one lies at or after pos.
func (b *builder) fill(pos lsn.LSN) {
	for i := 0; b.pos < pos; i++ {
		b.record(10, 0, 700, mainBody(bytes.Repeat([]byte{byte(i + 1)}, 40+i%150)))
	}
}

// skip moves pos to the next segment.
func (b *builder) skip() { b.pos = (b.pos + lsn.LSN(b.segSize-1)) &^ lsn.LSN(b.segSize-1) }

// mainBody is the body of a record that has main data only.
func mainBody(main []byte) []byte {
	if len(main) < 256 {
		return append([]byte{blockIDDataShort, byte(len(main))}, main...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte{blockIDDataLong}, uint32(len(main))), main...)
}

func (b *builder) commit(xid uint32, at time.Time) lsn.LSN {
	return b.record(RmgrTransaction, xactCommit, xid, mainBody(appendTime(nil, at)))
}

func (b *builder) switchSegment() lsn.LSN {
	at := b.record(RmgrXLOG, xlogSwitch, 0, nil)
	b.skip()
	return at
}

func appendTime(b []byte, at time.Time) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(at.UnixMicro()-946684800e6))
}

// source gives out the builder's segments.
func (b *builder) source() memory { return memory{files: b.files, segSize: b.segSize} }

// at is the byte of the log at a position.
func (b *builder) at(pos lsn.LSN) *byte { return &b.bytes(pos)[0] }

// bytes are those of the segment from a position on.
func (b *builder) bytes(pos lsn.LSN) []byte {
	return b.files[SegmentName(b.tli, SegmentNumber(pos, b.segSize), b.segSize)][SegmentOffset(pos, b.segSize):]
}

// memory is a Source of segments in memory. Those named in partial are partial.
type memory struct {
	files   map[string][]byte
	segSize int64
	partial map[string]bool
	fail    error // what reads end with in place of io.EOF
}

func (m memory) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	name := SegmentName(tli, segno, m.segSize)
	content, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("segment %s: %w", name, fs.ErrNotExist)
	}
	return &stream{rest: content, partial: m.partial[name], fail: m.fail}, nil
}

// stream can be read only, as a decompressor, and gives an odd number of bytes at
// a time.
type stream struct {
	rest    []byte
	partial bool
	fail    error
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.fail != nil {
		return 0, s.fail
	}
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 32749)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Close() error  { return nil }
func (s *stream) Partial() bool { return s.partial }

// readAll reads to the end and returns where records begin.
func readAll(t testing.TB, r *Reader) []lsn.LSN {
	t.Helper()
	defer r.Close()
	var all []lsn.LSN
	for r.Next() {
		rec := r.Record()
		if rec.Next <= rec.LSN || rec.Next != r.EndLSN() {
			t.Fatalf("record from %v to %v", rec.LSN, rec.Next)
		}
		all = append(all, rec.LSN)
	}
	var broken *RecordError
	if err := r.Err(); err != nil && !errors.As(err, &broken) {
		t.Fatalf("error of another type: %v", err)
	}
	return all
}
