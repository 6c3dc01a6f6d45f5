package prove

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/restore"
)

// Run proves a backup. What is wrong with it is in the report. The error says what
// kept Run from beginning, and the report is nil then, or it is the cause of the
// end of ctx, beside a report of what was found until then.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Server.Settings = append(slices.Clone(o.Server.Settings), o.Restore.Settings...)
	o.Restore.Settings = nil
	// Room for the connections of the checks, which are closed without waiting
	// for the server, and a few that look at it.
	o.Server.Connections = 2*o.jobs() + 10
	timeout := o.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	s, err := newServer(o.Server)
	if err != nil {
		return nil, err
	}
	r := &run{o: o, s: s, report: &Report{Backup: o.Restore.Backup, Incrementals: o.Restore.Incrementals, Started: time.Now(), Promise: promised(o.Restore.Recovery.Target)}}
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not finished within %s", timeout))
	defer cancel()
	r.prove(bounded)
	if !r.report.OK() {
		r.report.Log = s.LogTail()
	}
	c := r.begin(CheckCleanup)
	if err := r.clean(); err != nil {
		r.end(c, err)
	}
	r.report.Total = time.Since(r.report.Started)
	return r.report, context.Cause(ctx)
}

// run is one proof under way.
type run struct {
	o      Options
	s      *Server
	report *Report
	plan   *restore.Plan // until it is run
	wal    *archived     // where recovery takes WAL from, if that can be read here
}

// end ends a case: it has failed if there are problems, or with err.
func (r *run) end(c *Case, err error) bool {
	var differences *manifest.VerifyErrors
	c.Err = err
	switch {
	case errors.As(err, &differences):
		for _, d := range differences.Errors {
			c.problem(d.Error())
		}
		c.Count = differences.Total
	case err != nil:
		c.problem(err.Error())
	}
	if c.Status == "" {
		c.Status = Passed
		if c.Count > 0 {
			c.Status = Failed
		}
		if c.Duration == 0 {
			c.Duration = time.Since(c.began)
		}
	}
	r.report.Cases = append(r.report.Cases, c)
	if r.o.Case != nil {
		r.o.Case(c)
	}
	return c.Status != Failed
}

// prove does everything that is a case. When one that others stand on fails,
// those are skipped, and are in the report as well: it always has the same cases.
func (r *run) prove(ctx context.Context) {
	prepared := r.begin(CheckRestore)
	err := r.prepare(ctx)
	stages := []Check{CheckRestore, CheckServer, CheckRecovery}
	if r.plan != nil {
		defer r.plan.Close()
		if r.plan.Version != 0 { // then there is no need to restore for want of a server
			stages = []Check{CheckServer, CheckRestore, CheckRecovery}
		}
	}
	var unreachable *restore.TargetError
	if errors.As(err, &unreachable) {
		const why = "the target cannot be reached"
		r.skipStages(stages, why)
		c := r.targetCase()
		c.began = prepared.began
		r.end(c, err)
		r.skipChecks(why)
		return
	}
	for i, check := range stages {
		c := r.begin(check)
		if check == CheckRestore {
			c.began = prepared.began
		}
		if err == nil {
			err = r.stage(ctx, c)
		}
		if !r.end(c, err) {
			why := string(check) + " failed"
			r.skipStages(stages[i+1:], why)
			r.skip(r.targetCase(), why)
			r.skipChecks(why)
			return
		}
	}
	if !r.target() {
		r.skipChecks("there is no server to be checked")
		return
	}
	r.check(ctx)
	r.checksums(ctx)
}

// stage does one of the things that everything else stands on.
func (r *run) stage(ctx context.Context, c *Case) error {
	switch c.Check {
	case CheckRestore:
		return r.restore(ctx, c)
	case CheckServer:
		return r.server(ctx, c)
	}
	return r.recovery(ctx, c)
}

func (r *run) skipStages(stages []Check, why string) {
	for _, check := range stages {
		r.skip(&Case{Check: check}, why)
	}
}

// begin begins a case.
func (r *run) begin(check Check) *Case { return &Case{Check: check, began: time.Now()} }

// skip ends a case that was not begun.
func (r *run) skip(c *Case, why string) {
	c.Status, c.Summary = Skipped, why
	r.end(c, nil)
}

// skipChecks reports the checks that cannot be done.
func (r *run) skipChecks(why string) {
	checks := r.o.Checks
	if checks.Amcheck {
		r.skip(&Case{Check: CheckAmcheck}, why)
	}
	if checks.Dump {
		r.skip(&Case{Check: CheckDump}, why)
	}
	for i := range checks.Statements {
		r.skip(checks.Statements[i].newCase(), why)
	}
	if checks.Checksums {
		r.skip(&Case{Check: CheckChecksums}, why)
	}
}

// prepare looks at the backup.
func (r *run) prepare(ctx context.Context) (err error) {
	if r.o.Fill != nil {
		return nil
	}
	if dir := r.o.Restore.WALArchive; dir != "" {
		if r.wal, err = lookAt(ctx, dir); err != nil {
			return err
		}
	}
	r.plan, err = restore.Prepare(ctx, into(r.o.Restore, Dir{r.s.scratch}))
	return err
}

// into are the options of a restore into a scratch directory. Nothing of it has to
// survive a crash of the machine, and what a failed restore leaves goes with the
// directory.
func into(o restore.Options, d Dir) restore.Options {
	o.DataDir = d.Data()
	o.Remap = func(oid uint32, _ string) string { return d.Tablespace(oid) }
	o.Sync, o.NoClean = restore.NoSync, true
	return o
}

// Restored returns a function for Start that restores a backup.
func Restored(o restore.Options) func(ctx context.Context, d Dir) error {
	return func(ctx context.Context, d Dir) error {
		plan, err := restore.Prepare(ctx, into(o, d))
		if err != nil {
			return err
		}
		_, err = plan.Run(ctx)
		return err
	}
}

// restore restores the backup.
func (r *run) restore(ctx context.Context, c *Case) error {
	began := time.Now()
	defer func() { r.report.Restore = time.Since(began) }()
	if r.o.Fill != nil {
		return r.o.Fill(ctx, Dir{r.s.scratch})
	}
	plan := r.plan
	r.plan = nil
	result, err := plan.Run(ctx)
	if err != nil {
		return err
	}
	r.report.Promise.Stop = result.Stop
	c.Summary = fmt.Sprintf("%d files, %d bytes", result.Files, result.Bytes)
	if result.Verified {
		c.Summary += ", as in the manifest"
	}
	return nil
}

// server finds the server for the backup.
func (r *run) server(ctx context.Context, c *Case) error {
	var err error
	if r.plan != nil {
		err = r.s.choose(ctx, r.plan.Version)
	} else {
		err = r.s.examine(ctx)
	}
	if err != nil {
		return err
	}
	r.report.ServerVersion = r.s.Version()
	c.Summary = fmt.Sprintf("PostgreSQL %s in %s", r.s.program.version, filepath.Dir(r.s.program.path))
	return nil
}

// recovery starts the server and waits until it has recovered.
func (r *run) recovery(ctx context.Context, c *Case) error {
	if err := r.s.examine(ctx); err != nil {
		return err
	}
	r.report.SystemID = r.s.control.SystemID
	inWAL := r.s.lastCommit(ctx)
	began := time.Now()
	err := r.s.bringUp(ctx)
	r.report.Recover = time.Since(began)
	r.report.Recovery = r.s.seen()
	if err == nil {
		r.report.Recovery, err = r.s.recovered(ctx, inWAL)
	}
	c.Summary = r.report.Recovery.summary()
	if r.missed(err) {
		return nil // which is a case of its own
	}
	return err
}

// clean stops the server and removes everything, or leaves it for the user.
func (r *run) clean() error {
	if r.o.Keep {
		r.report.Scratch = r.s.Scratch()
		return r.s.Stop()
	}
	return r.s.Close()
}
