// Package info is the command "pgbasin info".
package info

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/inspect"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Run shows what p.Args name and returns the exit status: 1 if it cannot be read
// or is no backup.
func Run(p *program.Program) int {
	o, err := parse(p.Args)
	if status, done := usage.Answered(p, err, help, 1); done {
		return status
	}
	ctx, stop := usage.Context(p, func() {})
	defer stop()
	r := &run{p: p, o: o}
	status := r.run(ctx)
	p.Console.Status("")
	return status
}

// run connects the options with the library.
type run struct {
	p *program.Program
	o *options
}

func (r *run) run(ctx context.Context) int {
	report, err := r.inspect(ctx, r.o.path, false)
	var not *backupset.NotBackupError
	if errors.As(err, &not) && r.isDirectory() {
		backups, listErr := r.list(ctx, r.o.path)
		if listErr == nil && len(backups) > 0 {
			return r.showList(backups)
		}
		if listErr != nil {
			err = listErr
		}
	}
	if err != nil {
		return r.fail(ctx, err)
	}
	lineage, err := r.trace(ctx, report)
	if err != nil {
		return r.fail(ctx, err)
	}
	if r.o.json {
		return r.p.AnswerJSON(newBackup(report, lineage))
	}
	return r.p.Answer(describe(report, lineage))
}

// inspect finds out about one backup. A brief look leaves out what takes long.
func (r *run) inspect(ctx context.Context, path string, brief bool) (*inspect.Report, error) {
	s, err := backupset.Open(path, backupset.Options{
		Stdin: r.p.Stdin, AllowIncomplete: true,
		Note: func(message string) {
			if !brief {
				r.p.Warning(message)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if brief {
		return inspect.Brief(ctx, s)
	}
	o := inspect.Options{Progress: r.progress()}
	if r.o.walArchive.Given {
		if o.Archive, err = walarchive.Open(r.o.walArchive.Text); err != nil {
			return nil, err
		}
	}
	return inspect.Backup(ctx, s, o)
}

// progress draws how far the reading of WAL is.
func (r *run) progress() func(inspect.Progress) {
	if !r.o.progress {
		return nil
	}
	shown := int64(-1)
	return func(p inspect.Progress) {
		const megabyte = 1 << 20
		if done := p.Bytes / megabyte; done != shown {
			shown = done
			r.p.Console.Status(fmt.Sprintf("%d/%d MB of WAL, timeline %d at %v", done, max(p.Total, p.Bytes)/megabyte, p.Timeline, p.LSN))
		}
	}
}

func (r *run) isDirectory() bool {
	info, err := os.Stat(r.o.path)
	return err == nil && info.IsDir()
}

// fail says what went wrong and returns the exit status.
func (r *run) fail(ctx context.Context, err error) int {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	text := words.Of(err)
	r.p.Error(text)
	if r.o.json {
		r.p.AnswerJSON(struct {
			Error string `json:"error"`
		}{text})
	}
	return 1
}
