package prove

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/prove"
)

// output is what goes to standard output: lines for people while checks end, or
// one line of JSON.
type output struct {
	w     io.Writer
	quiet bool // no lines for people
	err   error
}

func (o *output) line(format string, args ...any) {
	if !o.quiet && o.err == nil {
		_, o.err = fmt.Fprintf(o.w, format+"\n", args...)
	}
}

// testCase shows one check.
func (o *output) testCase(c *prove.Case) {
	text := c.Summary
	if c.Status == prove.Failed {
		text = c.Message()
	}
	if text != "" {
		text = "  " + text
	}
	o.line("%-7s %8s  %s%s", c.Status, span(c.Duration), c.Name(), text)
	if c.Status != prove.Failed {
		return
	}
	for i, problem := range c.Problems {
		lines := strings.Split(problem, "\n")
		if i == 0 {
			lines = lines[1:] // the first one was shown
		}
		for _, line := range lines {
			o.line("%19s%s", "", line)
		}
	}
}

// summary shows the figures of a report, and how it ends.
func (o *output) summary(r *prove.Report) error {
	o.line("")
	if p := r.Recovery; p.Replayed != 0 || !p.Newest.IsZero() {
		text := "newest data: not known"
		if !p.Newest.IsZero() {
			text = fmt.Sprintf("newest data: %s, %s old", p.Newest.UTC().Format("2006-01-02 15:04:05Z07:00"), span(r.Age()))
			if p.LastCommit.IsZero() {
				text += " (the backup's start; no commit came after it)"
			}
		}
		o.line("%s", text)
	}
	o.line("time: restore %s, recovery %s, in all %s", span(r.Restore), span(r.Recover), span(r.Total))
	if r.Scratch != "" {
		o.line("kept: %s", r.Scratch)
	}
	failed := 0
	for _, c := range r.Cases {
		if c.Status == prove.Failed {
			failed++
		}
	}
	if failed == 0 {
		o.line("backup \"%s\" holds", r.Backup)
		return o.err
	}
	if r.Log != "" {
		o.line("end of the server's log:\n%s", r.Log)
	}
	o.line("backup \"%s\" DOES NOT HOLD: %d of %d checks failed", r.Backup, failed, len(r.Cases))
	return o.err
}

func (o *output) json(r *prove.Report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := o.w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("could not write to standard output: %w", err)
	}
	return nil
}

// span is a duration for people.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
