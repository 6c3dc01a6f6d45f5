package info

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pgbasin/pgbasin/inspect"
)

// trace finds what an incremental backup builds on among the backups beside it.
// It is nil for a full backup.
func (r *run) trace(ctx context.Context, b *inspect.Report) (*inspect.Lineage, error) {
	if !b.Incremental || b.Label == nil || !b.Label.Incremental() || r.o.path == "-" {
		return nil, nil
	}
	path, err := filepath.Abs(b.Path)
	if err != nil {
		return nil, fmt.Errorf("could not find the current directory: %w", err)
	}
	beside, err := r.list(ctx, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	l := inspect.Trace(b, reports(beside))
	return &l, nil
}

// reports are those of the backups that can be read.
func reports(list []entry) []*inspect.Report {
	var all []*inspect.Report
	for _, e := range list {
		if e.report != nil {
			all = append(all, e.report)
		}
	}
	return all
}

// chain shows what a restore of an incremental backup needs.
func chain(t *table, l *inspect.Lineage) {
	name := "needs"
	for _, b := range l.Chain[:len(l.Chain)-1] {
		state := ""
		if !b.Complete() {
			state = ", which is " + stateOf(b)
		}
		t.line(name, "%s%s", b.Path, state)
		name = ""
	}
	if l.Missing != nil {
		t.line("missing", "%s, which is not beside it", baseOf(l.Missing))
	}
}

func baseOf(b *inspect.Base) string {
	return fmt.Sprintf("the backup that started at %v on timeline %d", b.LSN, b.Timeline)
}

// buildsOn is a line's worth of it.
func buildsOn(l inspect.Lineage) string {
	names := make([]string, 0, len(l.Chain))
	for _, b := range l.Chain[:len(l.Chain)-1] {
		name := printable(filepath.Base(b.Path))
		if !b.Complete() {
			name += " (" + stateOf(b) + ")"
		}
		names = append(names, name)
	}
	text := "incremental"
	if len(names) > 0 {
		text += " on " + strings.Join(names, ", ")
	}
	if l.Missing != nil {
		text += "; missing: " + baseOf(l.Missing)
	}
	return text
}

// chainJSON is what an incremental backup needs.
type chainJSON struct {
	Backups []string  `json:"backups"` // paths, oldest first, up to and with this one
	Missing *baseJSON `json:"missing"` // what the first of them builds on and is not beside them
}

type baseJSON struct {
	StartLSN string `json:"start_lsn"`
	Timeline uint32 `json:"timeline"`
}

func newChain(l *inspect.Lineage) *chainJSON {
	if l == nil {
		return nil
	}
	j := &chainJSON{Backups: []string{}}
	for _, b := range l.Chain {
		j.Backups = append(j.Backups, b.Path)
	}
	if l.Missing != nil {
		j.Missing = &baseJSON{l.Missing.LSN.String(), l.Missing.Timeline}
	}
	return j
}
