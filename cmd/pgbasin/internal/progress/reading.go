package progress

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// Reading shows how far the reading of stored backups is, as progress_report of
// pg_verifybackup does: at most once a second, and at the end; on a terminal in
// one line.
type Reading struct {
	Console *program.Console
	Done    string // what became of the bytes: "verified"

	last int64 // second of the last report
}

// Update reports bytes that were read, of a total.
func (r *Reading) Update(done, total int64, finished bool) {
	now := time.Now().Unix()
	if now == r.last && !finished {
		return
	}
	r.last = now
	text := r.format(done, total)
	switch {
	case finished:
		r.Console.Status("")
		r.Console.Line(text)
	case r.Console.Terminal():
		r.Console.Status(text)
	default:
		r.Console.Line(text)
	}
}

func (r *Reading) format(done, total int64) string {
	var percent int64
	if total > 0 {
		percent = done * 100 / total
	}
	kB := strconv.FormatInt(total/1024, 10)
	return fmt.Sprintf("%*d/%s kB (%d%%) %s", len(kB), done/1024, kB, percent, r.Done)
}
