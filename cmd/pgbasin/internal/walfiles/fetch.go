package walfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Exit statuses of Fetch. To the server all up to 125 mean that the archive ends
// here, and recovery with it; those above, and signals, stop the server
// (RestoreArchivedFile in its xlogarchive.c, the same from 9.5 to 18). They are
// beyond those that shells make of signals.
const (
	statusMissing     = 1
	statusUsage       = 200
	statusUnreachable = 201
	statusCorrupt     = 202
	statusFailed      = 203
)

// Fetch takes a file out of an archive, as p.Args say, and returns the exit
// status.
func Fetch(p *program.Program) int {
	// A crash of this program must not have the status 2 that Go gives it, which
	// would end recovery as if there was no more WAL, but be a signal.
	debug.SetTraceback("crash")
	o, err := parseFetch(p.Args)
	if status, done := usage.Answered(p, err, func(p *program.Program) string { return expand(fetchHelp, p) }, statusUsage); done {
		return status
	}
	ctx, stop := watch(context.Background())
	defer stop()
	err = fetch(ctx, o)
	if err == nil {
		return 0
	}
	if status, ok := signalStatus(ctx); ok {
		return status
	}
	status := fetchStatus(err)
	if status == statusMissing {
		return status
	}
	var corrupt *walarchive.CorruptError
	if errors.As(err, &corrupt) && corrupt.Short && inStandbyMode(".") {
		// As the server does with a file of wrong size in this mode: it may be
		// on its way into the archive, and will be asked for again.
		p.Warning(fmt.Sprintf("not restoring \"%s\" yet: %s", o.name, text(err)))
		return statusMissing
	}
	p.Error(fmt.Sprintf("could not restore \"%s\": %s", o.name, text(err)))
	return status
}

func fetch(ctx context.Context, o *fetchOptions) error {
	a, err := walarchive.Open(o.from.Text)
	if err != nil {
		return err
	}
	return a.Fetch(ctx, o.name, o.path)
}

func fetchStatus(err error) int {
	var (
		unreachable *walarchive.UnreachableError
		corrupt     *walarchive.CorruptError
	)
	switch {
	case errors.As(err, &unreachable):
		return statusUnreachable
	case errors.As(err, &corrupt):
		return statusCorrupt
	case errors.Is(err, fs.ErrNotExist):
		return statusMissing
	}
	return statusFailed
}
