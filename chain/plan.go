package chain

import "github.com/pgbasin/pgbasin/incremental"

// plan says how a file is put together: which of its blocks come from which
// incremental file, and how much of the whole version is left. It grows from the
// newest backup to older ones.
type plan struct {
	length  uint32 // of the result, in blocks
	limit   uint32 // older versions count only up to this block
	extents []extent
	sources []source
	merged  []extent // memory for the next add
}

// extent is blocks of the result that follow one another in an incremental file,
// too.
type extent struct {
	block, count uint32
	source       int32
	at           int64 // of the first, in bytes
}

// begin makes the plan that of the newest incremental file, without its blocks.
func (p *plan) begin(h *incremental.Header) {
	p.length, p.limit = h.Length(), h.Length()
	p.extents, p.sources = p.extents[:0], p.sources[:0]
}

// wanted returns which of an older incremental file's blocks count, as indexes
// of h.Blocks: those that no newer file has and no newer file cut off.
func (p *plan) wanted(h *incremental.Header, indexes []uint32) []uint32 {
	indexes = indexes[:0]
	next := 0
	for i, b := range h.Blocks {
		if b >= p.limit {
			break
		}
		for next < len(p.extents) && p.extents[next].block+p.extents[next].count <= b {
			next++
		}
		if next == len(p.extents) || b < p.extents[next].block {
			indexes = append(indexes, uint32(i))
		}
	}
	return indexes
}

// add adds the blocks of an incremental file that are wanted. at is where a
// block's content is in the source, given how many there are before it in the file
// and how many of them are wanted.
func (p *plan) add(h *incremental.Header, indexes []uint32, blockSize int, s source, at func(index, kept int) int64) {
	if len(indexes) > 0 {
		n := int32(len(p.sources))
		p.sources = append(p.sources, s)
		merged, old := p.merged[:0], p.extents
		for kept, i := range indexes {
			b, offset := h.Blocks[i], at(int(i), kept)
			for len(old) > 0 && old[0].block < b {
				merged, old = append(merged, old[0]), old[1:]
			}
			if k := len(merged) - 1; k >= 0 && merged[k].source == n && merged[k].block+merged[k].count == b &&
				merged[k].at+int64(merged[k].count)*int64(blockSize) == offset {
				merged[k].count++
				continue
			}
			merged = append(merged, extent{b, 1, n, offset})
		}
		p.merged, p.extents = p.extents, append(merged, old...)
	}
	p.limit = min(p.limit, h.Truncation)
}

// blank leaves nothing of any version but the length.
func (p *plan) blank() {
	p.limit, p.extents = 0, p.extents[:0]
}

// unchanged tells that the result is a whole file of so many bytes.
func (p *plan) unchanged(size int64, blockSize int) bool {
	return len(p.extents) == 0 && p.limit == p.length && size == int64(p.length)*int64(blockSize)
}
