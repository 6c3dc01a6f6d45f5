package pgfake

import (
	"encoding/binary"
	"sync"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

const walPage = 8192

// pageMagics is XLOG_PAGE_MAGIC by version, newest first (xlog_internal.h).
var pageMagics = []struct {
	since int
	magic uint16
}{
	{190000, 0xD120}, {180000, 0xD118}, {170000, 0xD116}, {160000, 0xD113}, {150000, 0xD110},
	{140000, 0xD10D}, {130000, 0xD106}, {120000, 0xD101}, {110000, 0xD098}, {100000, 0xD097},
	{90600, 0xD093}, {90500, 0xD087}, {90400, 0xD07E}, {90300, 0xD075}, {90200, 0xD071}, {90100, 0xD066},
}

// WAL describes synthetic write-ahead log: pages with headers that are right in
// every field, and between them noise that depends on the position only, so that
// a byte at a wrong place is seen. There are no records.
// The page header is that of 9.3 and later.
type WAL struct {
	Version     string
	SystemID    uint64
	Timeline    uint32
	SegmentSize int64
}

// Bytes is the log from start to end.
func (w WAL) Bytes(start, end lsn.LSN) []byte {
	if end <= start {
		return nil
	}
	first := start - start%walPage
	b := make([]byte, 0, int(end-first)+walPage)
	for page := first; page < end; page += walPage {
		b = w.appendPage(b, page)
	}
	return b[start-first : end-first : end-first]
}

func (w WAL) appendPage(b []byte, at lsn.LSN) []byte {
	const longHeader = 2 // XLP_LONG_HEADER
	begin := len(b)
	long := wal.SegmentOffset(at, w.SegmentSize) == 0
	var info uint16
	if long {
		info = longHeader
	}
	b = binary.LittleEndian.AppendUint16(b, w.magic())
	b = binary.LittleEndian.AppendUint16(b, info)
	b = binary.LittleEndian.AppendUint32(b, w.Timeline)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, 0) // xlp_rem_len and padding
	if long {
		b = binary.LittleEndian.AppendUint64(b, w.SystemID)
		b = binary.LittleEndian.AppendUint32(b, uint32(w.SegmentSize))
		b = binary.LittleEndian.AppendUint32(b, walPage)
	}
	p := pattern()
	skip := int(uint64(at) / walPage * 40503 % uint64(len(p)-walPage))
	return append(b, p[skip+len(b)-begin:skip+walPage]...)
}

// pattern is noise, of which each page has a piece that begins elsewhere.
var pattern = sync.OnceValue(func() []byte {
	var b []byte
	for x := uint64(1); len(b) < 128<<10; {
		x = x*6364136223846793005 + 1442695040888963407 // Knuth's linear congruential generator
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
})

func (w WAL) magic() uint16 {
	v := versionNumber(w.Version)
	for _, m := range pageMagics {
		if v >= m.since {
			return m.magic
		}
	}
	return 0
}
