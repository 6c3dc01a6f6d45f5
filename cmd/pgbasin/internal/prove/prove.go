// Package prove is the command "pgbasin prove".
package prove

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/progress"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/restore"
)

// Run proves a backup as p.Args say, and returns the exit status: 0 if everything
// held, else 1.
func Run(p *program.Program) int {
	o, err := parse(p.Args)
	if status, done := usage.Answered(p, err, help, 1); done {
		return status
	}
	r := &run{p: p, o: o, report: progress.None{}}
	ctx, stop := usage.Context(p, r.abandoned)
	defer stop()
	return r.run(ctx)
}

// run connects the options with the library.
type run struct {
	p      *program.Program
	o      *options
	report progress.Reporter
	out    output
}

func (r *run) run(ctx context.Context) int {
	lib, err := r.library()
	if err != nil {
		return r.refuse(err)
	}
	junit, err := r.openJUnit()
	if err != nil {
		return r.refuse(err)
	}
	r.out = output{w: r.p.Stdout, quiet: r.o.json}
	if r.o.progress {
		r.report = progress.New(r.p.Console, r.o.verbose)
	}
	report, err := prove.Run(ctx, lib)
	r.report.Close(report != nil && report.OK())
	if report == nil {
		// What reads the reports must not take this for a proof that was not
		// wanted.
		report = &prove.Report{Backup: lib.Restore.Backup, Incrementals: lib.Restore.Incrementals, Cases: []*prove.Case{
			{Check: prove.CheckRestore, Status: prove.Failed, Problems: []string{words.Of(err)}, Count: 1, Err: err},
		}}
	}
	status := 1
	if err == nil && report.OK() {
		status = 0
	}
	switch {
	case r.o.json:
		err = errors.Join(err, r.out.json(report))
	case report.Started.IsZero():
	default:
		err = errors.Join(err, r.out.summary(report))
	}
	if junit != nil {
		err = errors.Join(err, junit.write(report))
	}
	if err != nil {
		r.p.Error(words.Of(err))
		status = 1
	}
	for _, c := range report.Cases {
		for _, hint := range hints(c.Err) {
			r.p.Hint(hint)
		}
	}
	return status
}

func (r *run) refuse(err error) int {
	r.p.Error(words.Of(err))
	return 1
}

// library are the options in the library's terms.
func (r *run) library() (prove.Options, error) {
	o := r.o
	lib := prove.Options{Server: o.server, Checks: o.checks, Timeout: o.timeout, Keep: o.keep, Case: r.ended}
	var err error
	if lib.Restore, err = o.recovery.Library(r.p); err != nil {
		return lib, err
	}
	lib.Jobs = lib.Restore.Jobs
	lib.Restore.Backup, lib.Restore.Incrementals, lib.Restore.Stdin = o.backup, o.increments, r.p.Stdin
	lib.Restore.Observer = restore.Observer{Info: r.info, Warning: r.p.Warning}
	if o.progress {
		lib.Restore.Observer.Progress = func(p restore.Progress) {
			r.report.Update(progress.State{
				Done: p.Done, Total: p.Total, Part: p.Archive, Parts: p.Archives, Unit: "archive",
				File: p.File, Finished: p.Finished,
			})
		}
	}
	lib.Server.Info, lib.Server.Warning = r.info, r.p.Warning
	if lib.Server.BinDir != "" {
		if lib.Server.BinDir, err = filepath.Abs(lib.Server.BinDir); err != nil {
			return lib, err
		}
	}
	if path, ok := r.p.LookupEnv("PATH"); ok {
		lib.Server.SearchPath = filepath.SplitList(path)
	}
	return lib, nil
}

func (r *run) info(step string) {
	if r.o.verbose {
		r.p.Info(step)
	}
	r.report.Step(step)
}

// ended is told of each check.
func (r *run) ended(c *prove.Case) {
	if c.Err != nil && len(c.Problems) == 1 && c.Problems[0] == c.Err.Error() {
		c.Problems[0] = words.Of(c.Err)
	}
	if c.Check == prove.CheckRestore {
		r.report.Close(c.Status == prove.Passed)
	}
	r.out.testCase(c)
}

// abandoned says what a process that ends at once leaves behind.
func (r *run) abandoned() {
	where := r.o.server.TempDir
	if where == "" {
		where = "the directory for temporary files"
	}
	r.p.Error(fmt.Sprintf("ended without cleaning up; a scratch directory pgbasin-prove-* is left in %s", where))
}
