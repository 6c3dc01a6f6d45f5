package combine

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/combine"
)

// progress shows how far the reading is: at most once a second, and at the end;
// on a terminal in one line.
type progress struct {
	console *program.Console
	last    int64 // second of the last report
}

func (s *progress) update(p combine.Progress) {
	now := time.Now().Unix()
	if now == s.last && !p.Finished {
		return
	}
	s.last = now
	text := format(p)
	switch {
	case p.Finished:
		s.console.Status("")
		s.console.Line(text)
	case s.console.Terminal():
		s.console.Status(text)
	default:
		s.console.Line(text)
	}
}

func format(p combine.Progress) string {
	percent := int64(100)
	if p.Total > 0 {
		percent = p.Done * 100 / p.Total
	}
	total := strconv.FormatInt(p.Total/1024, 10)
	return fmt.Sprintf("%*d/%s kB (%d%%) combined", len(total), p.Done/1024, total, percent)
}
