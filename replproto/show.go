package replproto

import (
	"context"
	"fmt"
	"io/fs"
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
	unit := int64(1)
	digits := s
	for suffix, n := range map[string]int64{"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30} {
		if d, ok := strings.CutSuffix(s, suffix); ok {
			digits, unit = d, n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("WAL segment size could not be parsed: %q", s)
	}
	if n *= unit; !wal.ValidSegmentSize(n) {
		return 0, fmt.Errorf("remote server reported invalid WAL segment size (%d bytes): must be a power of two between 1 MB and 1 GB", n)
	}
	return n, nil
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
