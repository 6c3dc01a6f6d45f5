// Package verify is the command "pgbasin verify", which is also
// pg_verifybackup.
package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/progress"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/verify"
)

// Run verifies the backup that p.Args name and returns the exit status: 0 if
// nothing is wrong with it, else 1.
func Run(p *program.Program) int {
	o, err := parse(p.Args, p.DropIn)
	if status, done := usage.Answered(p, err, help, 1); done {
		return status
	}
	ctx, stop := usage.Context(p, func() {})
	defer stop()
	if _, set := p.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	return (&run{p: p, o: o}).run(ctx)
}

// gcPercent keeps the memory for a manifest of a million files well below 64 MiB.
// Most of what lives has no pointers, so that collecting often costs little.
const gcPercent = 25

// run connects the options with the library.
type run struct {
	p *program.Program
	o *options
}

func (r *run) run(ctx context.Context) int {
	r.o.verify.Observer = verify.Observer{Problem: r.problem, Warning: r.p.Warning}
	if r.o.progress {
		reading := &progress.Reading{Console: r.p.Console, Done: "verified"}
		r.o.verify.Observer.Progress = func(p verify.Progress) { reading.Update(p.Done, p.Total, p.Finished) }
	}
	r.o.verify.WithoutManifest = !r.p.DropIn && r.o.verify.ManifestPath == ""
	report, err := verify.Run(ctx, r.o.verify)
	if err != nil {
		r.failed(err)
	}
	if err == nil {
		r.notChecked(report)
	}
	status := 0
	if err != nil || !report.OK() {
		status = 1
		if !r.p.DropIn {
			r.unfinished()
		}
	}
	switch {
	case r.o.json:
		return max(status, r.printJSON(report, err))
	case status == 0 && !r.o.quiet:
		return r.p.Answer(success(report))
	}
	return status
}

// unfinished says of a backup that was never complete that this is what is wrong with it.
func (r *run) unfinished() {
	set, err := backupset.Open(r.o.verify.Path, backupset.Options{})
	var incomplete *backupset.IncompleteError
	switch {
	case err == nil:
		set.Close()
	case errors.As(err, &incomplete):
		r.p.Hint(incomplete.Error() + ".")
	}
}

// problem tells what is wrong with the backup.
func (r *run) problem(problem *verify.Problem) {
	r.p.Error(words.Of(problem))
	if problem.Kind == verify.BrokenWAL && problem.Err != nil {
		r.p.Detail(words.Of(problem.Err))
	}
}

// success says what was found to be good.
func success(report *verify.Report) string {
	switch {
	case !report.NoManifest:
		return "backup successfully verified\n"
	case report.Pages == nil || !report.Pages.Enabled:
		return "WAL of the backup successfully verified\n"
	case len(report.WAL) == 0:
		return "page checksums of the backup successfully verified\n"
	}
	return "WAL and page checksums of the backup successfully verified\n"
}

// notChecked warns of what was not checked.
func (r *run) notChecked(report *verify.Report) {
	if report.NoManifest {
		r.p.Warning("the backup has no manifest, as servers before 13 write none: no file was compared with what the server sent")
		if report.Pages == nil {
			r.p.Hint("--checksums checks the pages of the tables, where the cluster has checksums.")
		}
	}
	switch pages := report.Pages; {
	case pages == nil:
	case !pages.Enabled:
		r.p.Warning("page checksums are not enabled in this cluster")
	case pages.Unknown > 0:
		r.p.Warning(fmt.Sprintf("%d pages with wrong checksums were written during the backup and could not be judged without its WAL", pages.Unknown))
	}
}

// failed tells why the backup could not be judged.
func (r *run) failed(err error) {
	r.p.Error(words.Of(err))
	if errors.Is(err, verify.ErrNoManifest) {
		r.p.Hint("Leave out -n/--no-parse-wal, or add --checksums if the cluster has them.")
	}
	var format *manifest.FormatError
	if errors.As(err, &format) && format.Line > 0 && !r.p.DropIn {
		r.p.Detail(fmt.Sprintf("The manifest is wrong at byte %d, in line %d.", format.Offset, format.Line))
	}
}
