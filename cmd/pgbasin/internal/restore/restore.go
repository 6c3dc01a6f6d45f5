// Package restore is the command "pgbasin restore".
package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/progress"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/restore"
)

// Run restores a backup as p.Args say, and returns the exit status.
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
	// cleanup is what was done after a failure. It is told after the failure.
	cleanup []string
}

func (r *run) run(ctx context.Context) int {
	if len(r.o.only) > 0 {
		return r.runOnly(ctx)
	}
	lib, err := r.library()
	if err != nil {
		return r.fail(ctx, nil, err)
	}
	plan, err := restore.Prepare(ctx, lib)
	if err != nil {
		return r.fail(ctx, nil, err)
	}
	if r.o.dryRun {
		defer plan.Close()
		return r.show(plan)
	}
	if r.o.progress {
		r.report = progress.New(r.p.Console, r.o.verbose)
	}
	result, err := plan.Run(ctx)
	r.report.Close(err == nil)
	if err != nil {
		return r.fail(ctx, plan, err)
	}
	return r.succeed(plan, result)
}

// library are the options in the library's terms.
func (r *run) library() (restore.Options, error) {
	o := r.o
	lib, err := o.Recovery.Library(r.p)
	if err != nil {
		return lib, err
	}
	lib.Backup, lib.Incrementals, lib.Stdin = o.backup, o.increments, r.p.Stdin
	if lib.DataDir, err = filepath.Abs(o.directory.Text); err != nil {
		return lib, fmt.Errorf("could not find the current directory: %w", err)
	}
	if o.waldir.Given {
		lib.WALDir = o.waldir.Text
	}
	lib.Tablespaces = o.tablespaces
	lib.Sync = o.sync()
	lib.NoClean = o.noClean
	lib.ReadAll = o.dryRun
	lib.Observer = r.observer()
	return lib, nil
}

// sync is how what is written is made durable.
func (o *options) sync() restore.SyncMethod {
	if o.noSync {
		return restore.NoSync
	}
	return o.syncBy
}

// observer tells what happens.
func (r *run) observer() restore.Observer {
	observer := restore.Observer{
		Info:    r.info,
		Warning: r.p.Warning,
		Cleanup: func(what string) { r.cleanup = append(r.cleanup, what) },
	}
	if r.o.progress {
		observer.Progress = func(p restore.Progress) {
			r.report.Update(progress.State{
				Done: p.Done, Total: p.Total, Part: p.Archive, Parts: p.Archives, Unit: "archive",
				File: p.File, Finished: p.Finished,
			})
		}
	}
	return observer
}

func (r *run) info(step string) {
	if r.o.verbose {
		r.p.Info(step)
	}
	r.report.Step(step)
}

// abandoned says what a process that ends at once leaves behind.
func (r *run) abandoned() {
	r.p.Error(fmt.Sprintf("ended without cleaning up; what was restored is left in \"%s\" and cannot be started", r.o.directory.Text))
	r.p.Hint("Run the same restore again: it removes what is left.")
}

// executable is this program's own path, for commands that the server runs.
func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("could not find the path of this program: %w", err)
	}
	return path, nil
}
