package combine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/manifest"
)

// Run combines backups. Errors are those of chain.Open, Read and Verify,
// *UnmappedError, *NotEmptyError, *OverlapError and *MethodError among others.
func Run(ctx context.Context, o Options) (*Result, error) {
	began := time.Now()
	r := &run{o: o, ready: make(chan struct{})}
	if r.o.Jobs <= 0 {
		r.o.Jobs = runtime.GOMAXPROCS(0)
	}
	if r.o.NoManifest {
		r.o.Checksums = manifest.None
	}
	err := r.run(ctx)
	if r.chain != nil {
		err = errors.Join(err, r.chain.Close())
	}
	r.list.close()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		r.dirs.Remove(o.Observer.cleanup)
		return nil, err
	}
	r.result.Files, r.result.Bytes, r.result.Duration = r.list.files, r.list.bytes, time.Since(began)
	return &r.result, nil
}

// run is one execution.
type run struct {
	o           Options
	chain       *chain.Chain
	tablespaces []Tablespace
	dirs        claim.Set
	list        listing
	meter       meter
	result      Result

	// Modes are those of the newest backup's own files: with access for the
	// group or without. ready is closed when they are known.
	dirMode, fileMode fs.FileMode
	ready             chan struct{}
}

func (r *run) plain() bool { return r.o.Format == Plain }

func (r *run) run(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil || r.o.DryRun {
		return err
	}
	if err := r.claim(); err != nil {
		return err
	}
	r.meter.total, r.meter.report = r.chain.Size(), r.o.Observer.Progress
	r.meter.done.Store(0) // what opening read is read again
	if err := r.write(ctx); err != nil {
		return err
	}
	if err := r.chain.Verify(ctx); err != nil {
		return err
	}
	r.meter.finish()
	r.result.Verified = !r.o.NoVerify
	if !r.o.NoManifest {
		if err := r.list.finish(r.chain.Head().Manifest.WALRanges); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.commit()
}

// errNoManifest has pg_combinebackup's words.
var errNoManifest = errors.New("cannot generate a manifest because no manifest is available for the final input backup")

// prepare opens the backups and refuses what cannot be done.
func (r *run) prepare(ctx context.Context) error {
	if err := checkPlatform(r.o.Method); err != nil {
		return err
	}
	r.o.Output = filepath.Clean(r.o.Output)
	var err error
	r.chain, err = chain.Open(ctx, r.o.Backups, chain.Options{
		Note:     func(message string) { r.o.Observer.debugf("%s", message) },
		Warn:     func(w chain.Warning) { r.o.Observer.warning(w.Message, w.Hint) },
		Progress: r.meter.add,
		TempDir:  r.o.Output, Checksums: r.o.Checksums, NoVerify: r.o.NoVerify, Jobs: r.o.Jobs,
	})
	if err != nil {
		return err
	}
	h := r.chain.Head()
	r.o.Observer.debugf("system identifier is %d", h.SystemID)
	if err := r.placeTablespaces(); err != nil {
		return err
	}
	if err := r.checkMethod(); err != nil {
		return err
	}
	if err := r.checkTargets(); err != nil {
		return err
	}
	if !r.o.DryRun && !r.o.NoManifest && h.Manifest == nil {
		return errNoManifest
	}
	will := "will"
	if r.o.DryRun {
		will = "would"
		for _, path := range r.targets() {
			r.o.Observer.debugf("would create directory \"%s\"", path)
		}
	}
	switch r.o.Method {
	case Clone:
		r.o.Observer.debugf("%s use cloning to copy files", will)
	case CopyFileRange:
		r.o.Observer.debugf("%s use copy_file_range to copy files", will)
	}
	r.result = Result{Output: r.o.Output, Version: h.Version, SystemID: h.SystemID, Label: h.Label.Label,
		Start: h.Label.Start, Timeline: h.Label.StartTimeline, Tablespaces: r.tablespaces}
	return nil
}

// checkMethod refuses methods that need data directories where there are none.
func (r *run) checkMethod() error {
	if r.o.Method == Copy {
		return nil
	}
	if !r.plain() {
		return &MethodError{r.o.Method, "the output is in tar format"}
	}
	for _, set := range r.chain.Sets() {
		if set.Form != backupset.Plain {
			return &MethodError{r.o.Method, fmt.Sprintf("backup %q is in tar format", set.Path)}
		}
	}
	return nil
}

// claim takes the directories.
func (r *run) claim() error {
	r.dirMode, r.fileMode = 0o700, 0o600
	if set := r.chain.Last(); set.Form == backupset.Plain {
		info, err := os.Stat(set.Path)
		if err != nil {
			return fmt.Errorf("could not stat file %q: %w", set.Path, err)
		}
		r.setModes(info.Mode())
	}
	for _, path := range r.targets() {
		r.o.Observer.debugf("creating directory %q", path)
		if err := r.dirs.Take("output", path, r.dirMode); err != nil {
			return err
		}
	}
	return nil
}

// root is the directory of the result.
func (r *run) root() *os.Root { return r.dirs.Root(r.o.Output) }

// setModes gives access for the group where the backup has it.
func (r *run) setModes(m fs.FileMode) {
	if m&0o050 == 0o050 || m.IsRegular() && m&0o040 != 0 {
		if m&0o007 == 0 {
			r.dirMode, r.fileMode = 0o750, 0o640
		}
	}
}

// begin is called with the mode of the first file of a backup in tars, by which
// the modes are told.
func (r *run) begin(first fs.FileMode) error {
	defer close(r.ready)
	if r.chain.Last().Form != backupset.Plain {
		r.setModes(first.Perm())
		for _, path := range r.targets() {
			if err := r.dirs.Root(path).Chmod(".", r.dirMode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("could not set permissions on directory %q: %w", path, err)
			}
		}
	}
	if r.o.NoManifest {
		return nil
	}
	return r.list.open(r.root(), r.fileMode, r.chain.Head().SystemID, r.o.Checksums)
}

// write reads the archives and writes what they stand for: the data directory's
// first, which tells the modes, and the others beside it if they are tars, which
// are read by one goroutine each.
func (r *run) write(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.o.Jobs)
	direct := true
	for _, set := range r.chain.Sets() {
		direct = direct && set.Form == backupset.Plain
	}
	if direct {
		group.SetLimit(1) // each archive is read by all workers
	}
	archives := r.chain.Last().Archives
	for i := range archives {
		a := &archives[i]
		group.Go(func() error {
			if a.Kind != backupset.Data {
				select {
				case <-r.ready:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			if r.plain() {
				return r.writePlain(ctx, a)
			}
			return r.writeTar(ctx, a)
		})
	}
	return group.Wait()
}

// commit makes everything durable, and only then a backup.
func (r *run) commit() error {
	if r.o.Sync != durable.NoSync {
		r.o.Observer.info("syncing data to disk ...")
	}
	if err := r.dirs.Sync(r.o.Sync); err != nil {
		return err
	}
	final := backupset.ControlName
	if !r.plain() {
		final = r.baseName()
	}
	if err := r.rename(final); err != nil {
		return err
	}
	if !r.o.NoManifest {
		if err := r.rename(backupset.ManifestName); err != nil {
			return err
		}
	}
	r.dirs.Release()
	return nil
}

// rename gives a file its final name.
func (r *run) rename(name string) error {
	if r.o.Sync != durable.NoSync {
		return durable.Rename(r.root(), name+heldSuffix, name)
	}
	if err := r.root().Rename(name+heldSuffix, name); err != nil {
		to := filepath.Join(r.o.Output, name)
		return fmt.Errorf("could not rename file %q to %q: %w", to+heldSuffix, to, cause(err))
	}
	return nil
}
