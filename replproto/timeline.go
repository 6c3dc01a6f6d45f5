package replproto

import (
	"context"
	"fmt"
)

// TimelineHistory runs TIMELINE_HISTORY (9.3 and later): the name and the
// content, byte for byte, of the file that tells where the timeline branched
// off. Timeline 1 has none.
func (c *Conn) TimelineHistory(ctx context.Context, timeline uint32) (name string, content []byte, err error) {
	const command = "TIMELINE_HISTORY"
	if c.version < v9_3 {
		return "", nil, &UnsupportedError{What: command, Since: "9.3", Server: c.ServerVersionString()}
	}
	rows, err := c.command(ctx, command, fmt.Sprintf("%s %d", command, timeline))
	if err != nil {
		return "", nil, fmt.Errorf("could not send replication command %q: %w", command, err)
	}
	if len(rows) != 1 || len(rows[0]) != 2 {
		return "", nil, fmt.Errorf("unexpected response to %s command: %w", command, shape(rows, 2))
	}
	return rows[0].text(0), rows[0][1], nil
}
