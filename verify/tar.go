package verify

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/wal"
)

// runTar verifies a backup in tar format.
func (v *verifier) runTar(ctx context.Context) error {
	archives, err := v.listArchives()
	if err != nil {
		return err
	}
	if v.o.PageChecksums {
		// The control file comes last. Nearly all clusters have the sizes that
		// are the default.
		v.pages = newPageChecker(nil, v.start())
	}
	v.read(0)
	t := &tarVerifier{verifier: v}
	if err := v.eachArchive(ctx, archives, t.readArchive); err != nil {
		return err
	}
	v.finished()
	// What was in the rest of a broken archive is not missing, but not known.
	// Nor is whether its pages had checksums.
	if t.broken {
		v.pages = nil
	} else if err := v.reportMissing(); err != nil {
		return err
	}
	if err := v.checkPagesAgain(ctx, archives); err != nil {
		return err
	}
	if err := v.checkWAL(ctx); err != nil {
		return err
	}
	return v.conclude(ctx)
}

// eachArchive calls read for the archives, for several at a time.
func (v *verifier) eachArchive(ctx context.Context, archives []archive, read func(context.Context, *archive) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.o.jobs())
	for i := range archives {
		group.Go(func() error { return read(ctx, &archives[i]) })
	}
	return group.Wait()
}

// tarVerifier is what the readers of the archives share.
type tarVerifier struct {
	*verifier
	files sync.Mutex // guards the index's flags, matchedFiles and broken

	broken bool // an archive was not read to its end
}

// readArchive compares the members of an archive with the manifest.
func (t *tarVerifier) readArchive(ctx context.Context, a *archive) error {
	m := &members{t: t, a: a}
	err := t.readMembers(ctx, a, m, t.read)
	var problem *Problem
	switch {
	case err == nil:
		return nil
	case m.fatal != nil:
		return m.fatal
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case !errors.As(err, &problem):
		problem = &Problem{Kind: BrokenArchive, Path: a.name, Archive: a.name, Err: systemError(err)}
	}
	t.files.Lock()
	t.broken = true
	t.files.Unlock()
	return t.problem(problem)
}

// foundMember counts a file where there is no manifest.
func (v *verifier) foundMember() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Files++
}

// ignoredMember notes an archive that has WAL in it.
func (v *verifier) ignoredMember(a *archive, path string) {
	if name, ok := strings.CutPrefix(path, "pg_wal/"); ok && wal.IsSegmentName(name) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.fetchedWAL = a
	}
}
