// Package walfiles is the commands "pgbasin wal-push" and "pgbasin wal-fetch",
// which a server runs as its archive_command and restore_command.
package walfiles

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Push puts the file that p.Args name into an archive. The exit status is 0 when
// it is there, durably, and 1 when the server has to try again. After a signal it
// is 128 and the signal's number, as shells have it: then the server's archiver
// ends, too.
func Push(p *program.Program) int {
	o, err := parsePush(p.Args)
	if status, done := usage.Answered(p, err, func(p *program.Program) string { return expand(pushHelp, p) }, 1); done {
		return status
	}
	ctx, stop := watch(context.Background())
	defer stop()
	if err := push(ctx, o); err != nil {
		if status, ok := signalStatus(ctx); ok {
			return status
		}
		p.Error(fmt.Sprintf("could not archive \"%s\": %s", o.path, text(err)))
		return 1
	}
	return 0
}

func push(ctx context.Context, o *pushOptions) error {
	a, err := walarchive.Open(o.to.Text)
	if err != nil {
		return err
	}
	_, err = a.Push(ctx, walarchive.PushOptions{From: o.path, Compression: o.compression})
	return err
}

// text is err in the words of PostgreSQL's tools. Two errors keep to themselves
// what the operating system said.
func text(err error) string {
	var unreachable *walarchive.UnreachableError
	var path *walarchive.PathError
	switch {
	case errors.As(err, &unreachable):
		return fmt.Sprintf("could not access WAL archive \"%s\": %s", unreachable.Dir, words.Of(unreachable.Err))
	case errors.As(err, &path):
		return words.Of(path.Err)
	}
	return words.Of(err)
}
