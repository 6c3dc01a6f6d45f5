package wal

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/lsn"
)

// Ancestor is a timeline that ended, and where: End is the first position that
// belongs to the timeline after it.
type Ancestor struct {
	Timeline uint32
	End      lsn.LSN
}

// ParseHistory reads a timeline's history file: its ancestors, oldest first. Lines
// hold timeline, end and a reason; empty ones and comments are skipped
// (readTimeLineHistory in the server's timeline.c).
func ParseHistory(content []byte) ([]Ancestor, error) {
	var all []Ancestor
	for n := 1; len(content) > 0; n++ {
		var line []byte
		line, content, _ = bytes.Cut(content, []byte("\n"))
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("line %d of the timeline history has no position", n)
		}
		timeline, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil || timeline == 0 {
			return nil, fmt.Errorf("line %d of the timeline history has no timeline but %q", n, fields[0])
		}
		end, err := lsn.Parse(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d of the timeline history: %w", n, err)
		}
		if len(all) > 0 && uint32(timeline) <= all[len(all)-1].Timeline {
			return nil, fmt.Errorf("line %d of the timeline history is not in ascending order", n)
		}
		all = append(all, Ancestor{uint32(timeline), end})
	}
	return all, nil
}

// TimelineAt is the timeline to which a position belongs along the way to
// timeline tli, whose ancestors history has, oldest first.
func TimelineAt(tli uint32, history []Ancestor, pos lsn.LSN) uint32 {
	for _, a := range history {
		if pos < a.End {
			return a.Timeline
		}
	}
	return tli
}
