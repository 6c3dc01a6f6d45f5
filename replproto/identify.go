package replproto

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pgbasin/pgbasin/lsn"
)

// System is what IDENTIFY_SYSTEM tells of a server.
type System struct {
	ID       uint64  // the cluster's identifier, chosen by initdb
	Timeline uint32  // the current timeline
	Position lsn.LSN // the current WAL flush position
}

// IdentifySystem runs IDENTIFY_SYSTEM.
func (c *Conn) IdentifySystem(ctx context.Context) (System, error) {
	const name = "IDENTIFY_SYSTEM"
	rows, err := c.command(ctx, name, name)
	if err != nil {
		return System{}, fmt.Errorf("could not send replication command %q: %w", name, err)
	}
	if len(rows) != 1 || len(rows[0]) < 3 {
		return System{}, fmt.Errorf("could not identify system: %w", shape(rows, 3))
	}
	var s System
	if s.ID, err = strconv.ParseUint(rows[0].text(0), 10, 64); err != nil {
		return System{}, fmt.Errorf("could not identify system: bad system identifier %q", rows[0].text(0))
	}
	if s.Timeline, err = parseTimeline(rows[0].text(1)); err != nil {
		return System{}, fmt.Errorf("could not identify system: %w", err)
	}
	if s.Position, err = lsn.Parse(rows[0].text(2)); err != nil {
		return System{}, fmt.Errorf("could not identify system: %w", err)
	}
	return s, nil
}

func parseTimeline(s string) (uint32, error) {
	t, err := strconv.ParseUint(s, 10, 32)
	if err != nil || t == 0 {
		return 0, fmt.Errorf("bad timeline %q", s)
	}
	return uint32(t), nil
}

// shape says how a result differs from one row of the given number of fields.
func shape(rows []row, fields int) error {
	got := 0
	if len(rows) > 0 {
		got = len(rows[0])
	}
	return fmt.Errorf("got %d rows and %d fields, expected 1 rows and %d or more fields", len(rows), got, fields)
}
