package wal

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
	"github.com/pgbasin/pgbasin/lsn"
)

// decodeAll calls every decoder.
func decodeAll(r *Record) {
	r.Transaction()
	r.RestorePoint()
	r.BackupEnd()
	r.Checkpoint()
	r.OverwriteContrecord()
	r.IsSwitch()
	r.Version()
}

func FuzzRecord(f *testing.F) {
	seeds.Require(f, 15)
	rel := le(uint32(1663), uint32(5), uint32(16384))
	f.Add(mainBody(le(int64(1))), uint16(magic18), RmgrTransaction, uint8(xactCommit), uint32(0))
	f.Add(mainBody(le(int64(1), uint32(0x1FF), make([]byte, 8), uint32(1), uint32(2), uint32(1), make([]byte, 12), uint32(1), make([]byte, 16), uint32(1), make([]byte, 16), uint32(7), []byte("gid\x00"))),
		uint16(magic18), RmgrTransaction, uint8(xactCommitPrepared|xactHasInfo), uint32(0))
	f.Add(mainBody(make([]byte, 88)), uint16(magic18), RmgrXLOG, uint8(xlogCheckpointOnline), uint32(0))
	f.Add(mainBody(make([]byte, 80)), uint16(0xD087), RmgrXLOG, uint8(xlogCheckpointShutdown), uint32(0))
	f.Add(mainBody(make([]byte, 72)), uint16(magic15), RmgrXLOG, uint8(xlogRestorePoint), uint32(0))
	f.Add(mainBody(make([]byte, 16)), uint16(magic15), RmgrXLOG, uint8(xlogEndOfRecovery), uint32(0))
	f.Add(le(uint8(0), uint8(blockHasImage|blockHasData), uint16(3), uint16(9), uint16(20), uint8(imageHasHole|imageCompressed), uint16(44), rel, uint32(7),
		uint8(4), uint8(blockSameRel), uint16(0), uint32(8), uint8(blockIDOrigin), uint16(1), uint8(blockIDTopLevelXID), uint32(700),
		uint8(blockIDDataLong), uint32(5), make([]byte, 17)), uint16(magic18), uint8(10), uint8(0), uint32(0))
	f.Add(le(uint8(blockIDDataLong), uint32(1<<20), make([]byte, 17)), uint16(magic10), uint8(10), uint8(0), uint32(1<<20-17))
	f.Fuzz(func(t *testing.T, body []byte, magic uint16, rmgr, info uint8, more uint32) {
		// more is what the record is longer than what was kept of it.
		r := Record{body: body, magic: magic, RmgrID: rmgr, Info: info, TotalLen: uint32(recordHeaderSize+len(body)) + more%(1<<30)}
		reason := r.parse()
		n, last := 0, -1
		for b := range r.Blocks() {
			if int(b.ID) <= last || b.ID > blockIDMax {
				t.Fatalf("block %d after %d", b.ID, last)
			}
			n, last = n+1, int(b.ID)
		}
		if reason != "" {
			if r.MainData != nil {
				t.Fatal("a record that is wrong has data")
			}
			return
		}
		if len(r.MainData) > int(r.MainDataLen) || len(r.MainData) > len(body) || more%(1<<30) == 0 && len(r.MainData) != int(r.MainDataLen) {
			t.Fatalf("main data of %d bytes, %d said, in a record of %d", len(r.MainData), r.MainDataLen, len(body))
		}
		decodeAll(&r)
	})
}

// FuzzPages reads a segment that ends after the given pages; its first header says
// which it is. fix makes the records' checksums right, so that what they hold is
// looked at too.
func FuzzPages(f *testing.F) {
	seeds.Require(f, 9)
	names, err := filepath.Glob("testdata/pages-*")
	if err != nil || len(names) < 7 {
		f.Fatalf("pages of real servers are missing: %v, %v", names, err)
	}
	for _, name := range names {
		pages, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pages, uint16(0), false, false)
		f.Add(pages, uint16(300), true, true)
	}
	b, _ := sound()
	f.Add(b.bytes(1 << 20)[:3*8192], uint16(0), false, true)
	f.Add(b.bytes(2 << 20)[:3*8192], uint16(8192), true, false)
	b, _, _ = branch()
	f.Add(b.bytes(3 << 20)[:3*8192], uint16(0), true, false)
	f.Add(overwrite(f, false).bytes(1 << 20)[:5*8192], uint16(0), false, false)
	f.Fuzz(func(t *testing.T, pages []byte, start uint16, fix, partial bool) {
		if len(pages) > 64<<10 || len(pages) < longHeaderSize {
			return
		}
		h := parsePageHeader(pages)
		segSize := int64(h.segSize)
		if !ValidSegmentSize(segSize) {
			segSize = MinSegmentSize
		}
		content := slices.Clone(pages)
		if fix {
			fixSums(content)
		}
		no := SegmentNumber(h.addr, segSize)
		name := SegmentName(h.tli, no, segSize)
		src := memory{files: map[string][]byte{name: content}, segSize: segSize, partial: map[string]bool{name: partial}}
		opt := ReaderOptions{SegmentSize: segSize, Timeline: h.tli, Start: SegmentStart(no, segSize) + lsn.LSN(start), KeepBytes: 4096}
		r := NewReader(src, opt)
		defer r.Close()
		pos := opt.Start
		for r.Next() {
			rec := r.Record()
			if rec.LSN < pos || rec.Next <= rec.LSN || r.EndLSN() != rec.Next || rec.TotalLen < recordHeaderSize {
				t.Fatalf("record from %v to %v, after %v", rec.LSN, rec.Next, pos)
			}
			pos = rec.Next
			for range rec.Blocks() {
			}
			decodeAll(rec)
		}
		if cap(r.keep) > 3*4096 {
			t.Fatalf("%d bytes are kept", cap(r.keep))
		}
		if (r.Err() != nil) != (r.End() == EndBroken) || r.End() == EndNone || r.Detail() == nil || r.Detail().Error() == "" {
			t.Fatalf("%v, %v, %v", r.End(), r.Err(), r.Detail())
		}
		opt.End = pos + 1
		if err := Verify(t.Context(), src, opt); r.Err() != nil && pos == opt.Start && err == nil {
			t.Fatalf("a range without a record is accepted; the reader says %v", r.Err())
		}
	})
}

// fixSums walks the records of the first pages that do not cross them.
func fixSums(b []byte) {
	for page := 0; page+DefaultBlockSize <= len(b); page += DefaultBlockSize {
		p := b[page : page+DefaultBlockSize]
		h := parsePageHeader(p)
		off := h.size()
		if h.info&infoContrecord != 0 {
			off += int(align(uint64(h.rem % DefaultBlockSize)))
		}
		for off+recordHeaderSize <= DefaultBlockSize {
			total := int(binary.LittleEndian.Uint32(p[off:]))
			if total < recordHeaderSize || off+total > DefaultBlockSize {
				break
			}
			sum := crc32.Update(crc32.Checksum(p[off+recordHeaderSize:off+total], castagnoli), castagnoli, p[off:off+recordCRCOffset])
			binary.LittleEndian.PutUint32(p[off+recordCRCOffset:], sum)
			off += int(align(uint64(total)))
		}
	}
}
