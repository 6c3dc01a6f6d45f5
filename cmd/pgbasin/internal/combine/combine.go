// Package combine is the command "pgbasin combine", which is also
// pg_combinebackup.
package combine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/interrupt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/progress"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/combine"
	"github.com/pgbasin/pgbasin/manifest"
)

// Run combines backups as p.Args say, and returns the exit status.
func Run(p *program.Program) int {
	o, err := parse(p.Args, p.DropIn)
	if status, done := usage.Answered(p, err, help, 1); done {
		return status
	}
	if _, set := p.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	r := &run{p: p, o: o}
	ctx, stop := usage.Context(p, r.abandoned)
	defer stop()
	return r.run(ctx)
}

// gcPercent keeps memory low: what lives has hardly any pointers.
const gcPercent = 50

// run connects the options with the library.
type run struct {
	p *program.Program
	o *options
	// cleanup is what was done after a failure. It is told after the failure.
	cleanup []string
}

func (r *run) run(ctx context.Context) int {
	lib := r.o.combine
	lib.Observer = combine.Observer{
		Warning: r.warning,
		Cleanup: func(what string) { r.cleanup = append(r.cleanup, what) },
	}
	if r.o.debug {
		lib.Observer.Debug, lib.Observer.Info = r.p.Debug, r.p.Debug
	}
	if r.o.progress {
		reading := &progress.Reading{Console: r.p.Console, Done: "combined"}
		lib.Observer.Progress = func(p combine.Progress) { reading.Update(p.Done, p.Total, p.Finished) }
	}
	result, err := combine.Run(ctx, lib)
	r.p.Console.Status("")
	if err != nil {
		return r.fail(ctx, err)
	}
	if lib.Method == combine.Link {
		r.p.Warning("--link mode was used; any modifications to the output directory might destructively modify input directories")
	}
	if r.o.json {
		return r.p.AnswerJSON(newReport(&r.o.combine, result))
	}
	return 0
}

func (r *run) warning(message, hint string) {
	r.p.Warning(message)
	if hint != "" {
		r.p.Hint(hint)
	}
}

// abandoned says what a process that ends at once leaves behind.
func (r *run) abandoned() {
	r.p.Error(fmt.Sprintf("ended without cleaning up; what was written is left in \"%s\" and is no backup", r.o.output.Text))
}

// fail says what went wrong and returns the exit status.
func (r *run) fail(ctx context.Context, err error) int {
	text := words.Of(err)
	interrupted := interrupt.In(ctx, err)
	if interrupted != nil {
		text = interrupted.Error()
	}
	r.p.Error(text)
	if interrupted == nil && !r.p.DropIn {
		if hint := hintFor(err); hint != "" {
			r.p.Hint(hint)
		}
	}
	for _, line := range r.cleanup {
		r.p.Info(line)
	}
	if r.o.json {
		r.p.AnswerJSON(&report{Error: &text})
	}
	return 1
}

// hintFor says what can be done about an error.
func hintFor(err error) string {
	var (
		check      *chain.CheckError
		missing    *chain.MissingError
		unmapped   *combine.UnmappedError
		notEmpty   *combine.NotEmptyError
		method     *combine.MethodError
		differs    *manifest.VerifyErrors
		incomplete *backupset.IncompleteError
		notBackup  *backupset.NotBackupError
		archive    *backupset.ArchiveError
	)
	switch {
	case errors.As(err, &check) && check.Order != nil:
		quoted := make([]string, len(check.Order))
		for i, path := range check.Order {
			quoted[i] = fmt.Sprintf("\"%s\"", path)
		}
		return "Give them in this order: " + strings.Join(quoted, " ") + "."
	case errors.As(err, &missing):
		return "A backup of the chain is damaged or is not the one that the next was taken upon."
	case errors.As(err, &unmapped):
		return fmt.Sprintf("Say where it shall go with -T \"%s\"=DIRECTORY.", unmapped.Location)
	case errors.As(err, &notEmpty):
		return fmt.Sprintf("Choose another directory, or remove or empty \"%s\".", notEmpty.Path)
	case errors.As(err, &method):
		return "Leave the option out: files are copied then."
	case errors.As(err, &differs):
		return "The backup was altered or damaged since it was taken. --no-verify leaves the comparison out."
	case errors.As(err, &incomplete):
		return "Use a chain of backups that were finished."
	case errors.As(err, &notBackup):
		return "Give the directories that the backups were taken into, or their tar files."
	case errors.As(err, &archive):
		return "The file is damaged or cut off."
	case errors.Is(err, syscall.ENOSPC):
		return "Make room and run it again."
	}
	return ""
}
