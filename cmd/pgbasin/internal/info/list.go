package info

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/inspect"
	"github.com/pgbasin/pgbasin/lsn"
)

// entry is a backup in a directory of several.
type entry struct {
	name   string
	report *inspect.Report // nil when it cannot be read
	err    error
}

// list finds the backups in a directory, and looks at each briefly.
func (r *run) list(ctx context.Context, dir string) ([]entry, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("could not read directory %q: %w", dir, err)
	}
	var list []entry
	for _, n := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		report, err := r.inspect(ctx, filepath.Join(dir, n.Name()), true)
		var not *backupset.NotBackupError
		var archive *backupset.ArchiveError
		if errors.As(err, &not) || report == nil && !n.IsDir() && !errors.As(err, &archive) {
			continue
		}
		list = append(list, entry{n.Name(), report, err})
	}
	slices.SortStableFunc(list, func(a, b entry) int {
		if c := started(a.report).Compare(started(b.report)); c != 0 {
			return c
		}
		// The server writes whole seconds.
		return cmp.Or(cmp.Compare(startPoint(a.report), startPoint(b.report)), cmp.Compare(a.name, b.name))
	})
	return list, nil
}

// started is when a backup was started, about.
func started(r *inspect.Report) time.Time {
	if r == nil {
		return time.Time{}
	}
	if r.Label != nil {
		if earliest, latest, ok := r.Label.StartSpan(); ok {
			return earliest.Add(latest.Sub(earliest) / 2)
		}
	}
	if r.Control != nil {
		return r.Control.CheckpointTime
	}
	return time.Time{}
}

func startPoint(r *inspect.Report) lsn.LSN {
	if r == nil {
		return 0
	}
	pos, _, _ := r.Start()
	return pos
}

func (r *run) showList(list []entry) int {
	if r.o.json {
		backups := make([]any, 0, len(list))
		for _, e := range list {
			if e.report == nil {
				backups = append(backups, struct {
					Path  string `json:"path"`
					State string `json:"state"`
					Error string `json:"error"`
				}{filepath.Join(r.o.path, e.name), "broken", words.Of(e.err)})
				continue
			}
			backups = append(backups, newBackup(e.report, lineageIn(e.report, list)))
		}
		return r.p.AnswerJSON(struct {
			Path    string `json:"path"`
			Backups []any  `json:"backups"`
		}{r.o.path, backups})
	}
	rows := [][]string{{"backup", "version", "started", "timeline", "start LSN", "stop LSN", "form", "on disk", "state"}}
	for _, e := range list {
		if e.report == nil {
			rows = append(rows, []string{e.name, "", "", "", "", "", "", "", "broken: " + words.Of(e.err)})
			continue
		}
		rows = append(rows, row(e.name, e.report, lineageIn(e.report, list)))
	}
	return r.p.Answer(align(rows))
}

// lineageIn is what a backup of a list builds on; nil if it is full.
func lineageIn(b *inspect.Report, list []entry) *inspect.Lineage {
	if b.Label == nil || !b.Label.Incremental() {
		return nil
	}
	l := inspect.Trace(b, reports(list))
	return &l
}

func row(name string, b *inspect.Report, l *inspect.Lineage) []string {
	cells := []string{name, b.Version.String(), "", "", "", "", formOf(b), "", stateOf(b)}
	if b.Label != nil {
		cells[2] = b.Label.StartTimeText
	}
	if pos, tli, ok := b.Start(); ok {
		cells[3], cells[4] = fmt.Sprint(tli), pos.String()
	}
	if b.Stop != 0 {
		cells[5] = b.Stop.String()
	}
	if b.Stored >= 0 {
		cells[7] = size(b.Stored)
	}
	switch {
	case l != nil:
		cells[8] += ", " + buildsOn(*l)
	case b.Incremental:
		cells[8] += ", incremental"
	}
	return cells
}

// align pads the columns of a table; the last one stays as it is.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-len(cell)+2))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}
