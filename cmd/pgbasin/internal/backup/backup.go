// Package backup is the command "pgbasin backup", which is also pg_basebackup.
package backup

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/progress"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/replproto"
)

// Run takes one backup as p.Args say and returns the exit status: 0 if it is
// complete, else 1.
func Run(p *program.Program) int {
	o, err := parse(p.Args, p.DropIn)
	switch {
	case err == usage.ErrHelp:
		return p.Answer(help(p))
	case err == usage.ErrVersion:
		return p.Answer(p.VersionLine())
	case err != nil:
		// The option may stand behind the one that is refused.
		o.json = o.json || slices.Contains(p.Args, "--json")
		return o.fail(p, nil, describeUsage(p, err))
	}

	ctx, stop := usage.Context(p, func() { p.Error(o.leftovers()) })
	defer stop()

	r := &run{p: p, o: o, report: progress.None{}}
	if o.progress {
		r.report = progress.New(p.Console, o.verbose > 0)
	}
	result, err := r.backup(ctx)
	r.report.Close(err == nil)
	p.Console.Status("")
	if err == nil {
		return o.succeed(p, result)
	}
	status := o.fail(p, result, describe(ctx, err, o, p.DropIn))
	for _, line := range r.cleanup {
		p.Info(line)
	}
	return status
}

// applicationName is not that of "pgbasin receive": a backup's WAL stream reports what is
// on disk, too, and must not count where synchronous_standby_names has the receiver.
const applicationName = "pgbasin_backup"

// run connects the options with the library.
type run struct {
	p      *program.Program
	o      *options
	report progress.Reporter
	// cleanup is what was done after a failure. It is told after the failure.
	cleanup []string
}

func (r *run) backup(ctx context.Context) (*basebackup.Result, error) {
	cfg, err := r.o.connection.Config(r.p)
	if err != nil {
		return nil, err
	}
	if !r.p.DropIn {
		cfg.ApplicationName = applicationName
	}
	o := r.o
	lib := basebackup.Options{
		Connect:        func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) },
		Label:          r.label(),
		FastCheckpoint: o.fast,

		WAL:            o.wal,
		Slot:           o.slot.Text,
		CreateSlot:     o.create,
		NoSlot:         o.noSlot,
		StatusInterval: o.statusInterval(),

		MaxRate:             o.maxRate,
		NoEstimateSize:      o.noEstimate,
		NoManifest:          o.noManifest,
		ManifestChecksums:   o.manifestChecksums.Text,
		ManifestForceEncode: o.manifestEncode,
		NoVerifyChecksums:   o.noPageChecksums,
		NoVerify:            o.noVerify,

		Observer: basebackup.Observer{
			Info:    r.info,
			Warning: r.p.Warning,
			Notice:  r.notice,
			Retry:   r.retrying,
			Cleanup: r.cleaning,
		},
	}
	o.resume.apply(&lib, r.p.DropIn)
	if o.progress {
		lib.Observer.Progress = func(p basebackup.Progress) {
			r.report.Update(progress.State{
				Done: p.Done, Total: p.Total, Part: p.Tablespace, Parts: p.Tablespaces,
				File: p.File, Milestone: p.Milestone, Finished: p.Finished,
			})
		}
	}
	if o.previous.Given {
		lib.PreviousManifest = o.openPrevious
	}
	if o.target.Given {
		lib.Target, lib.TargetDetail = o.targetParts()
	}
	if c := &o.compression; c.where == codec.Server && c.given {
		lib.ServerCompression, lib.ServerCompressionDetail = c.method, c.detail
	}
	if o.recovery {
		lib.PrimaryConnInfo = func(v replproto.Version) string {
			return cfg.EffectiveSettings().PrimaryConnInfo(int(v))
		}
	}
	return basebackup.Run(ctx, lib, r.destination())
}

// targetParts takes TARGET[:DETAIL] apart.
func (o *options) targetParts() (target, detail string) {
	target, detail, _ = strings.Cut(o.target.Text, ":")
	return target, detail
}

func (r *run) label() string {
	if r.o.label.Text != "" || !r.p.DropIn {
		return r.o.label.Text
	}
	return r.p.Name + " base backup"
}

// destination is where the options want the backup; nil if the server keeps it.
func (r *run) destination() basebackup.Destination {
	o := r.o
	sync := o.syncBy
	if o.noSync {
		sync = durable.NoSync
	}
	switch {
	case o.target.Given:
		return nil
	case o.toStdout():
		return basebackup.TarStream(r.p.Stdout, o.compression.client)
	case o.format == 't':
		return basebackup.TarDirectory(basebackup.TarOptions{
			Path: o.directory.Text, Compression: o.compression.client, Sync: sync, NoClean: o.noClean,
		})
	}
	return basebackup.Plain(basebackup.PlainOptions{
		Path: o.directory.Text, WALDir: o.waldir.Text, Tablespaces: o.tablespaces, Sync: sync, NoClean: o.noClean,
	})
}

func (r *run) info(step string) {
	if r.o.verbose > 0 {
		r.p.Info(step)
	}
	if step == basebackup.StepCheckpoint {
		r.report.Checkpoint()
		return
	}
	r.report.Step(step)
}

// notice shows what the server says as it says it, at the beginning of a line.
func (r *run) notice(n *replproto.Notice) { r.p.Console.Notice(n.String()) }

// retrying shows what is done about a lost connection, whether or not anything else is
// shown.
func (r *run) retrying(what string, err error) {
	if err != nil {
		r.p.Warning(words.Of(err))
	}
	r.p.Info(what)
}

func (r *run) cleaning(what string) {
	r.report.Close(false)
	r.cleanup = append(r.cleanup, what)
	r.p.Console.Status(shorten(what, r.p.Console.Columns()))
}

// describeUsage puts into words what is wrong with the command line, without
// passwords in arguments that are quoted.
func describeUsage(p *program.Program, err error) failure {
	var syntax *getopt.SyntaxError
	var refused *usage.Error
	switch {
	case errors.As(err, &syntax):
		// getopt speaks under the name that it was given, with the path.
		return failure{text: conninfo.Hide(syntax.Text), speaker: p.Argv0, help: true}
	case errors.As(err, &refused):
		f := failure{text: conninfo.Hide(refused.Text), help: refused.Help}
		if refused.Hint != "" {
			f.hints = []string{refused.Hint}
		}
		return f
	}
	return failure{text: conninfo.Hide(err.Error())}
}
