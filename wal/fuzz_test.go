package wal

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

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
	f.Add([]byte{blockIDDataShort, 1, 2}, uint16(magic18), uint8(0), uint8(0), uint32(0))
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

// FuzzPages reads a segment that begins with the given pages. fix makes the first
// records' checksums right, so that what they hold is looked at too.
func FuzzPages(f *testing.F) {
	f.Add([]byte("\x18\xd1"), uint32(40), true, false)
	f.Fuzz(func(t *testing.T, pages []byte, start uint32, fix, partial bool) {
		const segSize = 1 << 20
		if len(pages) > 64<<10 {
			return
		}
		content := make([]byte, segSize)
		copy(content, pages)
		if fix {
			fixSums(content)
		}
		name := SegmentName(1, 1, segSize)
		src := memory{files: map[string][]byte{name: content}, segSize: segSize, partial: map[string]bool{name: partial}}
		opt := ReaderOptions{SegmentSize: segSize, Timeline: 1, Start: segSize + lsn.LSN(start%segSize), KeepBytes: 4096}
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
	for page := 0; page < 64<<10; page += DefaultBlockSize {
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
