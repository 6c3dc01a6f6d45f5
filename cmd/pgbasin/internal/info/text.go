package info

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/inspect"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
)

// describe is a backup for people to read.
func describe(r *inspect.Report, lineage *inspect.Lineage) string {
	t := &table{}
	t.line("backup", "%s", r.Path)
	t.line("state", "%s", stateOf(r))
	for _, problem := range r.Problems {
		t.line("", "%s", problem)
	}
	t.line("form", "%s", formOf(r))
	t.line("server version", "%s", r.Version)
	if r.SystemID != 0 {
		t.line("system identifier", "%d", r.SystemID)
	}
	if l := r.Label; l != nil {
		t.line("label", "%s", l.Label)
		t.line("method", "%s", methodOf(r))
		t.line("type", "%s", typeOf(r))
		if lineage != nil {
			chain(t, lineage)
		}
		t.line("start time", "%s", l.StartTimeText)
	} else if c := r.Control; c != nil && (c.State == pgdata.ShutDown || c.State == pgdata.ShutDownInRecovery) {
		t.line("method", "copied by hand, of a cluster that was shut down")
		t.line("start LSN", "%v on timeline %d", c.Redo, c.Timeline)
	}
	if pos, tli, ok := r.Start(); ok {
		t.line("start LSN", "%v on timeline %d", pos, tli)
	}
	switch {
	case r.Stop != 0:
		t.line("stop LSN", "%v on timeline %d (from the %s)", r.Stop, r.StopTimeline, r.StopBy)
	case r.Label != nil:
		t.line("stop LSN", "not known: neither a manifest nor WAL at hand tells it")
	}
	if r.StopTime != "" {
		t.line("stop time", "%s", r.StopTime)
	}
	if r.Stored >= 0 {
		t.line("size on disk", "%s", size(r.Stored))
	}
	t.line("size restored", "%s in %d files", size(r.Bytes), r.Files)
	for _, space := range r.Tablespaces {
		t.line("tablespace", "%s", tablespaceOf(r, space))
	}
	t.line("manifest", "%s", manifestOf(r))
	t.line("WAL", "%s", walOf(r))
	if w := r.Window; w != nil {
		t.b.WriteByte('\n')
		window(t, r, w)
	}
	return t.String()
}

// table is lines of names and values.
type table struct{ b strings.Builder }

const nameWidth = 20

func (t *table) line(name, format string, args ...any) {
	if name != "" {
		name += ":"
	}
	value := printable(fmt.Sprintf(format, args...))
	fmt.Fprintf(&t.b, "%s\n", strings.TrimRight(fmt.Sprintf("%-*s%s", nameWidth, name, value), " "))
}

func (t *table) String() string { return t.b.String() }

// printable keeps what a backup says on its line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// stateOf is "complete", "incomplete" or "broken".
func stateOf(r *inspect.Report) string {
	switch {
	case r.Incomplete:
		return "incomplete"
	case !r.Complete():
		return "broken"
	}
	return "complete"
}

func formOf(r *inspect.Report) string {
	text := r.Form.String()
	if a := compressionOf(r); a != codec.None {
		text += ", " + a.String()
	}
	return text
}

func compressionOf(r *inspect.Report) codec.Algorithm {
	if len(r.Archives) == 0 {
		return codec.None
	}
	return r.Archives[0].Compression
}

func methodOf(r *inspect.Report) string {
	l := r.Label
	text := l.Method
	if r.ByHand {
		text += ", copied by hand"
	}
	if l.From != "" {
		text += ", from a " + from(l.From)
	}
	return text
}

// from is BACKUP FROM in today's words.
func from(s string) string {
	if s == "master" {
		return "primary"
	}
	return s
}

func typeOf(r *inspect.Report) string {
	if !r.Incremental {
		return "full"
	}
	if r.Label.IncrementalFromLSN == 0 {
		return "incremental"
	}
	return fmt.Sprintf("incremental, builds on the backup that started at %v on timeline %d", r.Label.IncrementalFromLSN, r.Label.IncrementalFromTLI)
}

func tablespaceOf(r *inspect.Report, t backupset.TablespaceInfo) string {
	location := t.Location
	if location == "" {
		location = "in the data directory"
	}
	text := fmt.Sprintf("%d at %s", t.OID, location)
	if t.Where == backupset.Nowhere {
		return text + ", not in the backup: it " + t.Reason
	}
	if n := tablespaceBytes(r, t.OID); n >= 0 {
		text += ", " + size(n)
	}
	return text
}

// tablespaceBytes is the size of a tablespace's files; -1 if it is not known.
func tablespaceBytes(r *inspect.Report, oid uint32) int64 {
	i := slices.IndexFunc(r.Archives, func(a backupset.Archive) bool { return a.Kind == backupset.Tablespace && a.OID == oid })
	if i < 0 {
		return -1
	}
	return r.Archives[i].Content
}

func manifestOf(r *inspect.Report) string {
	switch m := r.Manifest; {
	case r.StaleManifest:
		return "none of its own; there is one of an older backup"
	case m == nil:
		return "none"
	default:
		return fmt.Sprintf("%d files, checksums %s", m.Files, m.Checksums)
	}
}

func walOf(r *inspect.Report) string {
	switch {
	case r.WAL.Segments == 0:
		return "none in the backup: it needs an archive"
	case r.OwnWAL:
		return fmt.Sprintf("%s in the backup, all that it needs", segments(r.WAL.Segments))
	case r.Stop != 0:
		return fmt.Sprintf("%s in the backup, which is not all that it needs", segments(r.WAL.Segments))
	}
	return segments(r.WAL.Segments) + " in the backup"
}

func segments(n int64) string {
	if n == 1 {
		return "1 segment"
	}
	return fmt.Sprintf("%d segments", n)
}

// window shows what one can recover to.
func window(t *table, r *inspect.Report, w *inspect.Window) {
	if w.Consistent == 0 {
		t.line("first consistent", "never: the WAL at hand does not reach the end of the backup")
	} else {
		text := fmt.Sprintf("%v on timeline %d", w.Consistent, w.ConsistentTimeline)
		if !w.EarliestTime.IsZero() {
			text += ", not before " + stamp(w.EarliestTime)
		}
		t.line("first consistent", "%s", text)
	}
	if w.Newest.LSN != 0 {
		t.line("newest commit", "%s, LSN %v, transaction %d", stamp(w.Newest.Time), w.Newest.LSN, w.Newest.XID)
	} else {
		t.line("newest commit", "none")
	}
	if w.Last != 0 {
		t.line("recoverable up to", "%v on timeline %d: %s", w.Last, w.Timeline, w.LastReason)
	}
	if w.Latest != w.Timeline {
		t.line("", "a server looks for timeline %d by itself: give the timeline", w.Latest)
	}
	for _, p := range w.RestorePoints {
		text := fmt.Sprintf("%s, LSN %v on timeline %d, %s", quote(p.Name), p.LSN, p.Timeline, stamp(p.Time))
		if !p.Reachable {
			text += ", cannot be reached"
		}
		t.line("restore point", "%s", text)
	}
	if w.MoreRestorePoints > 0 {
		t.line("", "and %d more restore points", w.MoreRestorePoints)
	}
	for _, g := range w.Gaps {
		text := g.First
		if g.Segments > 1 {
			text += " to " + g.Last
		}
		text = fmt.Sprintf("%s (%s) of timeline %d", text, segments(g.Segments), g.Timeline)
		if g.Next != "" {
			text += ", before " + g.Next
		}
		t.line("missing", "%s", text)
	}
	if len(w.Timelines) > 1 {
		for _, tl := range w.Timelines {
			t.line("timeline", "%s", timelineOf(tl, w))
		}
	}
}

func timelineOf(tl inspect.Timeline, w *inspect.Window) string {
	text := fmt.Sprint(tl.ID)
	if tl.Parent != 0 {
		text += fmt.Sprintf(", left timeline %d at %v", tl.Parent, tl.SwitchAt)
	}
	switch {
	case !tl.Descends && tl.Parent == 0 && !tl.History:
		return text + ", its history is not known"
	case !tl.Descends:
		return text + ", does not come from the backup"
	case !tl.Reached:
		return text + ", cannot be reached: " + tl.EndsWith
	}
	if tl.End != 0 {
		text += fmt.Sprintf(", to %v", tl.End)
	}
	if tl.Newest.LSN != lsn.LSN(0) {
		text += ", newest commit " + stamp(tl.Newest.Time)
	}
	return text
}

// stamp is a time as recovery_target_time takes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999-07") }

func quote(s string) string { return `"` + printable(s) + `"` }

// size is a number of bytes as pg_size_pretty would have it, and exactly.
func size(n int64) string {
	const limit = 10 * 1024
	if n < limit {
		return fmt.Sprintf("%d bytes", n)
	}
	v := n
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		v = (v + 512) / 1024
		if v < limit || unit == "PB" {
			return fmt.Sprintf("%d %s", v, unit)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
