package replproto

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// RelationFiles is how the server lays out the files of relations, for which it
// can be asked from 10 on: the size of a block in bytes, and the number of blocks
// in a file at most.
func (c *Conn) RelationFiles(ctx context.Context) (blockSize, segmentBlocks int, err error) {
	b, err := c.Show(ctx, "block_size")
	if err != nil {
		return 0, 0, err
	}
	s, err := c.Show(ctx, "segment_size")
	if err != nil {
		return 0, 0, err
	}
	block, ok := parseSize(b)
	// The limits are those that a server can be built with.
	if !ok || block < 1<<10 || block > 32<<10 || block&(block-1) != 0 {
		return 0, 0, fmt.Errorf("remote server reported invalid block size: %q", b)
	}
	segment, ok := parseSize(s)
	if !ok || segment < block || segment%block != 0 || segment/block > maxSegmentBlocks {
		return 0, 0, fmt.Errorf("remote server reported invalid segment size: %q", s)
	}
	return int(block), int(segment / block), nil
}

// maxSegmentBlocks is many times what servers are built with. A client may hold
// something for each block of a file.
const maxSegmentBlocks = 1 << 24

// parseSize reads a setting that is a number of bytes, with the unit in which
// servers show it.
func parseSize(s string) (bytes int64, ok bool) {
	unit := int64(1)
	digits := s
	for suffix, n := range map[string]int64{"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40} {
		if d, ok := strings.CutSuffix(s, suffix); ok {
			digits, unit = d, n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}
