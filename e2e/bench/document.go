//go:build linux || darwin

package main

import (
	"fmt"
	"strings"
)

// document is everything that was measured, and where.
type document struct {
	o       *options
	machine []string
	limits  []limit
	results []result
	peaks   []peak
}

// text is the document in Markdown.
func (d *document) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Benchmarks\n")
	line("This was written by `%s`, which measures it all again.\n", d.o.command())
	if d.o.quick {
		line("**A smoke run: so little data and so few runs show that the benchmark works. They are not a result, nor are the goals that are met or missed here.**\n")
	}
	for _, about := range d.machine {
		line("- %s", about)
	}
	if len(d.limits) > 0 {
		line("\n## Limits\n\nWhat one part of the work can do alone; medians.\n\n%s", strings.TrimRight(limitTable(d.limits).String(), "\n"))
	}
	if len(d.results) > 0 {
		line("\n## Results\n\nMedians of %d runs of each program, which take turns, after one that does not count. The ratios are those of pgbasin to the reference,", d.o.pairs)
		line("pair by pair: the median, the lowest and the highest. Of peak memory, the highest of pgbasin's runs must not be above the goal.\n")
		line("%s", resultTable(d.results))
		for _, note := range notes {
			line("- %s", note)
		}
	}
	if len(d.peaks) > 0 {
		line("\n## Memory\n\nRuns of pgbasin for each of two databases: %d. The highest peak counts.\n", d.o.peakRuns())
		line("%s", strings.TrimRight(peakTable(d.peaks, d.o.small, d.o.top).String(), "\n"))
	}
	return b.String()
}

// notes say in what the two sides of a row differ.
var notes = []string{
	"pgbasin compares every file with the manifest while a backup arrives and while it is restored; the references do not.",
	"Both sides sync the backups that they write. tar and cp sync nothing, and pgbasin is told not to beside them.",
	"\"plain and verified\" is, on the side of the reference, the backup and then the verification, which reads it again.",
	"Both sides restore the same archive, which pgbasin wrote, and verify the same backup, which pg_basebackup wrote, with CRC32C and its WAL.",
	"Each row starts on files of its own, which are removed at the end. ext4 looks at each inode that was removed in the last six minutes for every file that it makes: another run needs that time in between.",
	"Memory of zstd grows with its workers, one for each processor. That of two programs in a pipe is added.",
}
