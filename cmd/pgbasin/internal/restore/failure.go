package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/interrupt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/restore"
)

// fail says what went wrong and returns the exit status.
func (r *run) fail(ctx context.Context, plan *restore.Plan, err error) int {
	text := words.Of(err)
	interrupted := interrupt.In(ctx, err)
	if interrupted != nil {
		text = interrupted.Error()
	}
	r.p.Error(text)
	if interrupted == nil {
		for _, hint := range Hints(err) {
			r.p.Hint(hint)
		}
	}
	for _, line := range r.cleanup {
		r.p.Info(line)
	}
	if r.o.json {
		report := r.o.newReport(plan, nil)
		report.Error = &text
		r.p.AnswerJSON(report)
	}
	return 1
}

// Hints say what can be done about an error of a restore.
func Hints(err error) []string {
	var (
		incomplete  *backupset.IncompleteError
		incremental *restore.IncrementalError
		notBackup   *backupset.NotBackupError
		notEmpty    *restore.NotEmptyError
		overlap     *restore.OverlapError
		space       *restore.SpaceError
		missing     *restore.MissingTablespaceError
		location    *restore.LocationUnknownError
		wal         *restore.MissingWALError
		target      *restore.TargetError
		differs     *manifest.VerifyErrors
		archive     *backupset.ArchiveError
		order       *chain.CheckError
		nothing     *chain.MissingError
		notFound    *restore.NotFoundError
	)
	one := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	switch {
	case errors.As(err, &incomplete):
		return one("Take the backup again, or restore another one.")
	case errors.As(err, &incremental):
		return one("Give it behind those that it builds on, the full one first: \"pgbasin restore FULL INCREMENTAL...\"; or make a full backup of them with \"pgbasin combine\". \"pgbasin info\" shows which they are.")
	case errors.As(err, &order) && order.Order != nil:
		return one("They follow one another in this order: %s", quoted(order.Order))
	case errors.As(err, &order):
		return one("\"pgbasin info\" shows for each backup which ones it builds on.")
	case errors.As(err, &nothing):
		return one("A backup between them is missing or was altered: \"pgbasin info\" shows for each which ones it builds on.")
	case errors.As(err, &notFound):
		return one("Paths are those in the data directory, such as global/pg_control or base/5; those of tablespaces begin with pg_tblspc and the OID.")
	case errors.As(err, &notBackup):
		return one("Give the directory that the backup was taken into, or its tar file.")
	case errors.As(err, &notEmpty):
		return one("Choose another directory, or remove or empty \"%s\". A tablespace is moved with -T/--tablespace-mapping.", notEmpty.Path)
	case errors.As(err, &overlap):
		return one("Give each its own directory: -D, --waldir, and -T for tablespaces.")
	case errors.As(err, &space):
		return one("Make room, or move tablespaces with -T and the WAL with --waldir to other file systems.")
	case errors.As(err, &missing):
		return one("Restore from a backup that has all tablespaces: without one of them the cluster is not whole.")
	case errors.As(err, &location):
		return one("Say where it shall go with -T %d=DIRECTORY.", location.OID)
	case errors.As(err, &wal):
		return one("Recovery would stop there. Look for the segment on the server or in another archive.")
	case errors.As(err, &target):
		return one("\"pgbasin info\" with --wal-archive shows what can be reached.")
	case errors.As(err, &differs):
		return one("The backup was altered or damaged since it was taken: restore another one. --no-verify leaves the comparison out.")
	case errors.As(err, &archive):
		return one("The file is damaged or cut off: restore another backup.")
	case errors.Is(err, syscall.ENOSPC):
		return one("Make room and run the restore again.")
	}
	return nil
}

// quoted are names for a command line.
func quoted(names []string) string { return `"` + strings.Join(names, `" "`) + `"` }
