package chain

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/tarstream"
)

// DamageError says that a backup is not what its manifest says.
type DamageError struct {
	Backup string // path
	Err    error  // *manifest.VerifyErrors, or what is wrong with the manifest
}

func (e *DamageError) Error() string {
	var problems *manifest.VerifyErrors
	if errors.As(e.Err, &problems) {
		return fmt.Sprintf("backup at %q is not what its manifest says: %v", e.Backup, e.Err)
	}
	return fmt.Sprintf("could not use the manifest of the backup at %q: %v", e.Backup, e.Err)
}

// Unwrap returns the reason.
func (e *DamageError) Unwrap() error { return e.Err }

// Verify reads what no Read needed and compares everything with the manifests of
// the backups. It is for when all archives of Last were read; only then can what
// they brought be trusted. Errors are *DamageError among others.
func (c *Chain) Verify(ctx context.Context) error {
	if c.direct {
		for _, b := range c.backups[:len(c.backups)-1] {
			if err := c.readRest(ctx, b); err != nil {
				return err
			}
		}
	}
	if c.o.NoVerify {
		return nil
	}
	for _, b := range c.backups {
		if err := c.compare(b); err != nil {
			return err
		}
	}
	return nil
}

// readRest reads those files of an older data directory that went into no file
// of the result.
func (c *Chain) readRest(ctx context.Context, b *backup) error {
	group, ctx := errgroup.WithContext(ctx)
	paths := make(chan string, 4*c.o.Jobs)
	for range c.o.Jobs {
		w := c.newWorker(nil)
		group.Go(func() error {
			for path := range paths {
				if err := w.compareFile(ctx, b, path); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(paths)
		for i := range b.set.Archives {
			a := &b.set.Archives[i]
			files, err := b.open(a)
			if err != nil {
				return err
			}
			if err := files.List(ctx, &rest{ctx, c, b, prefix(a), paths}); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// rest sends the paths of files that are to be read.
type rest struct {
	ctx    context.Context
	c      *Chain
	b      *backup
	prefix string
	paths  chan<- string
}

func (r *rest) Member(h *tarstream.Header) error {
	if h.Type == tarstream.Directory || h.Type == tarstream.Symlink {
		return nil
	}
	path := r.prefix + h.Name
	target, ok := incremental.Target(path)
	switch {
	case ok && r.b.number == 0:
		return fullError(r.b, path)
	case !ok:
		target = path
	}
	if r.b.ledger == nil {
		return nil
	}
	if used, err := r.used(target); err != nil || used {
		return err
	}
	select {
	case r.paths <- path:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// used tells whether what the backup has of a file was read for the result: all
// newer backups have an incremental file for it then.
func (r *rest) used(target string) (bool, error) {
	name := incremental.Name(target)
	if _, ok := incremental.Target(name); !ok {
		return false, nil
	}
	for _, newer := range r.c.backups[r.b.number+1:] {
		if has, err := newer.has(name); err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

func (r *rest) Content([]byte) error { return nil }
func (r *rest) EndMember() error     { return nil }

// compareFile notes a file for the comparison with the manifest.
func (w *worker) compareFile(ctx context.Context, b *backup, path string) error {
	l, err := w.openLayer(b, path)
	if err != nil {
		return err
	}
	defer l.f.Close()
	sums := w.sums[b.number]
	if err := w.read(ctx, l, sums, func([]byte) error { return nil }); err != nil {
		return err
	}
	return sums.end(path, l.info.Size())
}

// compare compares what passed of a backup with its manifest.
func (c *Chain) compare(b *backup) error {
	if b.ledger == nil {
		return nil
	}
	src, err := b.openManifest()
	if err != nil {
		return err
	}
	defer src.Close()
	m := manifest.NewReader(src)
	if err := manifest.Disregard(b.ledger.Verify(m), uncovered); err != nil {
		return &DamageError{b.path, err}
	}
	if want := c.last().head.SystemID; m.SystemIdentifier() != want {
		return failf("%s/%s: manifest system identifier is %d, but control file has %d", b.path, backupset.ControlName, m.SystemIdentifier(), want)
	}
	return nil
}

// uncovered tells whether a file is not the server's alone (pg_verifybackup.c,
// ignore list).
func uncovered(path string) bool {
	return path == recoveryconf.AutoConf || path == recoveryconf.RecoverySignal || path == recoveryconf.StandbySignal
}
