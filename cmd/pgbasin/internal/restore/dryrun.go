package restore

import (
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/restore"
)

// show prints what a restore would do.
func (r *run) show(p *restore.Plan) int {
	if r.o.json {
		return r.p.AnswerJSON(r.o.newReport(p, nil).withPlan(p))
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-18s %s\n", name+":", fmt.Sprintf(format, args...))
	}
	line("backup", "%s", p.Backup)
	for _, path := range p.Incrementals {
		line("with the changes", "%s", path)
	}
	line("format", "%s", format(p))
	line("server version", "%v", p.Version)
	if p.Label != "" {
		line("label", "%s", p.Label)
	}
	if p.Start != 0 {
		line("start point", "%v on timeline %d", p.Start, p.Timeline)
	}
	if p.Stop != 0 {
		line("consistent from", "%v", p.Stop)
	}
	line("data directory", "%s", p.DataDir)
	if p.WALDir != "" {
		line("WAL directory", "%s", p.WALDir)
	}
	for _, t := range p.Tablespaces {
		from := t.Location
		if from == "" {
			from = "in place"
		}
		line(fmt.Sprintf("tablespace %d", t.OID), "%s -> %s", from, t.Path)
	}
	size := fmt.Sprintf("%d bytes", p.Bytes)
	if !p.BytesKnown {
		size = "at least " + size
	}
	line("to be written", "%s", size)
	line("verification", "%s", verification(p))
	line("WAL", "%s", walSummary(&p.WAL))
	for _, dir := range p.Debris {
		line("to be removed", "what a restore that did not finish left in %s", dir)
	}
	if p.Version == 0 {
		line("configuration", "not known before the backup was read")
	}
	for _, f := range p.Configuration {
		how := "to be written"
		if f.Append {
			how = "to be appended"
		}
		fmt.Fprintf(&b, "\n%s (%s):\n", f.Name, how)
		for l := range strings.Lines(r.o.shown(f.Contents)) {
			b.WriteString("  " + l)
		}
		if f.Signal != "" {
			fmt.Fprintf(&b, "%s (empty)\n", f.Signal)
		}
	}
	return r.p.Answer(b.String())
}

func format(p *restore.Plan) string {
	text := p.Form.String()
	if len(p.Archives) > 0 && p.Form != backupset.Plain && p.Archives[0].Compression != codec.None {
		text += ", " + p.Archives[0].Compression.String()
	}
	return text
}

func verification(p *restore.Plan) string {
	switch {
	case !p.Verify:
		return "none: there is no manifest, or --no-verify"
	case p.Form == backupset.Tar:
		return "every file against the manifest, if the tar file has one"
	}
	return "every file against the manifest"
}

func walSummary(w *restore.WAL) string {
	if w.Needed == 0 {
		return "not known which is needed"
	}
	text := fmt.Sprintf("%d segments are needed to become consistent: %d in the backup, %d in the archive", w.Needed, w.InBackup, w.InArchive)
	if w.Needed == 1 {
		text = strings.Replace(text, "segments are", "segment is", 1)
	}
	switch {
	case len(w.Missing) > 0:
		text += ", missing " + strings.Join(w.Missing, ", ")
	case !w.Known:
		text += ", the rest not known"
	}
	return text
}
