package progress

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// lines reports as progress_report of pg_basebackup does: at most once a
// second, and at milestones.
type lines struct {
	console *program.Console
	verbose bool

	mu    sync.Mutex
	last  int64 // second of the last report
	done  int64 // what it said
	total int64 // kB; grows when the estimate was too low
}

func (l *lines) Checkpoint() {
	if !l.verbose { // else a message says so
		l.console.Line("waiting for checkpoint")
	}
}

func (l *lines) Step(string) {}
func (l *lines) Close(bool)  {}

func (l *lines) Update(p State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.Finished:
	case p.Milestone:
		if p.Part == p.Parts {
			return // all have arrived: the last report is about to come
		}
	case p.Done == l.done:
		return // data comes between a server's own reports
	case time.Now().Unix() == l.last:
		return
	}
	l.last, l.done = time.Now().Unix(), p.Done
	l.console.Line(l.format(p))
}

// fileWidth is the room for a file name in verbose reports.
const fileWidth = 35

func (l *lines) format(p State) string {
	done := p.Done / 1024
	// An estimate is too low when WAL comes with the data.
	if l.total == 0 {
		l.total = p.Total / 1024
	}
	var percent int64
	if l.total > 0 {
		percent = min(done*100/l.total, 100)
	}
	l.total = max(l.total, done)

	shown := strconv.FormatInt(percent, 10)
	var file string
	switch {
	case !l.verbose:
	case p.File == "":
		// Blanks cover the name that stood here before.
		shown, file = "100", fmt.Sprintf(" %*s", fileWidth+5, "")
	case len(p.File) > fileWidth:
		file = fmt.Sprintf(" (...%s)", p.File[len(p.File)-fileWidth+3:])
	default:
		file = fmt.Sprintf(" (%-*s)", fileWidth, p.File)
	}
	plural := "s"
	if p.Parts == 1 {
		plural = ""
	}
	total := strconv.FormatInt(l.total, 10)
	return fmt.Sprintf("%*d/%s kB (%s%%), %d/%d %s%s%s",
		len(total), done, total, shown, p.Part, p.Parts, p.unit(), plural, file)
}
