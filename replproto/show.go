package replproto

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/wal"
)

// Show runs SHOW, which walsenders know from 10 on.
func (c *Conn) Show(ctx context.Context, name string) (string, error) {
	command := "SHOW " + name
	if c.version < v10 {
		return "", &UnsupportedError{What: command, Since: "10", Server: c.ServerVersionString()}
	}
	rows, err := c.command(ctx, command, command)
	if err != nil {
		return "", fmt.Errorf("could not send replication command %q: %w", command, err)
	}
	if len(rows) != 1 || len(rows[0]) < 1 {
		return "", fmt.Errorf("could not read the answer to %q: %w", command, shape(rows, 1))
	}
	return rows[0].text(0), nil
}

// SegmentSize is the size of the server's WAL segments, in bytes. Servers
// before 10 cannot be asked; they are taken to have the default of 16 MB,
// which only a build option could change.
func (c *Conn) SegmentSize(ctx context.Context) (int64, error) {
	if c.version < v10 {
		return wal.DefaultSegmentSize, nil
	}
	s, err := c.Show(ctx, "wal_segment_size")
	if err != nil {
		return 0, err
	}
	n, ok := parseSize(s)
	if !ok {
		return 0, fmt.Errorf("WAL segment size could not be parsed: %q", s)
	}
	if !wal.ValidSegmentSize(n) {
		return 0, fmt.Errorf("remote server reported invalid WAL segment size (%d bytes): must be a power of two between 1 MB and 1 GB", n)
	}
	return n, nil
}

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

// DirMode is the mode of the server's data directory: 0700, or 0750 where the
// group may read (11 and later).
func (c *Conn) DirMode(ctx context.Context) (fs.FileMode, error) {
	if c.version < v11 {
		return 0o700, nil
	}
	s, err := c.Show(ctx, "data_directory_mode")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("group access flag could not be parsed: %s", s)
	}
	// As the server's SetDataDirectoryCreatePerm: group read and execute are
	// what can be granted, nothing else.
	if n&0o050 == 0o050 {
		return 0o750, nil
	}
	return 0o700, nil
}
