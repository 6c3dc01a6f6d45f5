package basebackup

import (
	"encoding/binary"

	"github.com/pgbasin/pgbasin/lsn"
)

// newestPage finds the highest WAL position that the pages of a relation file say they
// were changed at (pd_lsn in the server's bufpage.h), while they pass in pieces of any
// size. What has no sound page header is left out; on servers with another byte order
// that is all.
type newestPage struct {
	blockSize int
	newest    lsn.LSN

	at     int // in the page
	header [pageHeaderSize]byte
}

const pageHeaderSize = 24

func (n *newestPage) begin() { n.newest, n.at = 0, 0 }

func (n *newestPage) write(p []byte) {
	for len(p) > 0 {
		if n.at < pageHeaderSize {
			m := copy(n.header[n.at:], p)
			if n.at += m; n.at == pageHeaderSize {
				n.page()
			}
			p = p[m:]
			continue
		}
		m := min(n.blockSize-n.at, len(p))
		if n.at += m; n.at == n.blockSize {
			n.at = 0
		}
		p = p[m:]
	}
}

func (n *newestPage) page() {
	word := func(i int) int { return int(binary.LittleEndian.Uint16(n.header[i:])) }
	lower, upper, special, size := word(12), word(14), word(16), word(18)
	if size&^0xff != n.blockSize || lower < pageHeaderSize || upper < lower || special < upper || n.blockSize < special {
		return
	}
	high, low := binary.LittleEndian.Uint32(n.header[0:]), binary.LittleEndian.Uint32(n.header[4:])
	n.newest = max(n.newest, lsn.LSN(high)<<32|lsn.LSN(low))
}
