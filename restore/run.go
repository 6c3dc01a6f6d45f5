package restore

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
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// Result is a restored data directory.
type Result struct {
	DataDir     string
	WALDir      string // "" if the WAL is in the data directory
	Version     pgdata.Version
	SystemID    uint64
	Label       string
	Start, Stop lsn.LSN // where recovery starts, and where the cluster is consistent at the earliest; 0 = not known
	Timeline    uint32
	Files       int64
	Bytes       int64
	Verified    bool // every file was compared with the manifest
	Tablespaces []Tablespace
	Duration    time.Duration
}

// heldControl is the name of pg_control until the directory is complete and
// durable: a server does not start without pg_control.
const heldControl = backupset.ControlName + ".tmp"

// Run carries out the plan. When it fails, or ctx ends it, what it made is
// removed, unless Options.NoClean says otherwise. The plan is closed in any
// case.
func (p *Plan) Run(ctx context.Context) (*Result, error) {
	if p.set == nil {
		return nil, errClosed
	}
	defer p.Close()
	began := time.Now()
	r := &run{p: p, o: &p.o, ready: make(chan struct{}), unlisted: manifest.NewRecorder(nil)}
	r.dirs.Spare = backupset.RestoreMarker
	r.dirs.Leftover = func(dir *os.Root) bool { return debris(dir, p.DataDir) }
	err := r.run(ctx)
	r.close()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if p.o.NoClean {
			r.dirs.Keep(p.o.Observer.cleanup)
		} else {
			r.dirs.Remove(p.o.Observer.cleanup)
		}
		return nil, err
	}
	return &Result{
		DataDir: p.DataDir, WALDir: p.WALDir, Version: r.version, SystemID: r.systemID, Label: p.Label,
		Start: p.Start, Stop: p.Stop, Timeline: p.Timeline,
		Files: r.recorder.Files() + r.unlisted.Files(), Bytes: r.recorder.Bytes() + r.unlisted.Bytes(),
		Verified: r.verified, Tablespaces: p.Tablespaces, Duration: time.Since(began),
	}, nil
}

// run is one execution of a plan.
type run struct {
	p    *Plan
	o    *Options
	dirs claim.Set

	// Modes are those of the backup's own files: with access for the group or
	// without. The data directory's first member tells.
	dirMode, fileMode fs.FileMode
	// ready is closed when the modes are known and the other archives can be
	// restored beside the data directory's.
	ready chan struct{}

	meter      *meter
	comparison                    // of the files that a manifest lists
	unlisted   *manifest.Recorder // those that it does not
	data       *dataDirectory

	version  pgdata.Version
	control  *pgdata.Control
	systemID uint64
	verified bool
}

func (r *run) close() {
	r.comparison.close()
	if r.data != nil {
		r.data.close()
	}
}

func (r *run) run(ctx context.Context) error {
	if err := r.claim(); err != nil {
		return err
	}
	r.openLedgers()
	total := int64(0)
	if r.p.BytesKnown || r.p.head.Manifest != nil {
		total = r.p.Bytes
	}
	r.meter = newMeter(r.o.Observer.Progress, total, len(r.p.set.Archives))
	if err := r.readAll(ctx); err != nil {
		return err
	}
	r.meter.finish()
	if err := r.complete(ctx); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if err := r.data.removeManifest(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.commit()
}

// claim takes the directories and marks them.
func (r *run) claim() error {
	p := r.p
	if err := r.dirs.Take("data", p.DataDir, 0o700); err != nil {
		return err
	}
	if p.WALDir != "" {
		if err := r.dirs.Take("WAL", p.WALDir, 0o700); err != nil {
			return err
		}
	}
	for _, t := range p.Tablespaces {
		if t.InPlace {
			continue
		}
		if err := r.dirs.Take("tablespace", t.Path, 0o700); err != nil {
			return err
		}
	}
	targets := p.targets()
	paths := make([]string, 0, len(targets))
	for _, t := range targets {
		paths = append(paths, t.path)
	}
	// In this order a crash of the machine leaves nothing that the next restore
	// does not know: the others count as debris by the data directory's marker.
	synced := r.o.Sync != durable.NoSync
	if synced {
		if err := r.dirs.SyncNames(); err != nil {
			return err
		}
	}
	m := newMarker(unfinished(p.DataDir), p.DataDir, paths)
	for _, path := range paths {
		if err := m.put(r.dirs.Root(path), synced); err != nil {
			return err
		}
	}
	return nil
}

// root is the data directory, open from its claim to the end.
func (r *run) root() *os.Root { return r.dirs.Root(r.p.DataDir) }

// readAll reads the archives, several at a time: the data directory's first,
// which is the largest and tells the modes.
func (r *run) readAll(ctx context.Context) error {
	r.data = newDataDirectory(r)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.jobs())
	for i := range r.p.set.Archives {
		a := &r.p.set.Archives[i]
		g.Go(func() error {
			err := r.read(ctx, a)
			if err == nil {
				r.meter.archiveDone()
			}
			return err
		})
	}
	return g.Wait()
}

func (r *run) jobs() int {
	if r.o.Jobs > 0 {
		return r.o.Jobs
	}
	return runtime.GOMAXPROCS(0)
}

func (r *run) read(ctx context.Context, a *backupset.Archive) error {
	if a.Kind == backupset.Data {
		return r.data.read(ctx, a)
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return r.readOther(ctx, a)
}

// setModes takes the modes from the first member of the data directory.
func (r *run) setModes(first fs.FileMode) error {
	r.dirMode, r.fileMode = 0o700, 0o600
	// Servers before 11 refuse any access for others, and what has access for
	// all was not made by a server.
	if r.p.Version >= 110000 && first&0o040 != 0 && first&0o007 == 0 {
		r.dirMode, r.fileMode = 0o750, 0o640
	}
	if runtime.GOOS == "windows" {
		return nil // has no such modes
	}
	for _, t := range r.p.targets() {
		if err := r.dirs.Root(t.path).Chmod(".", r.dirMode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("could not set permissions on directory %q: %w", t.path, err)
		}
	}
	return nil
}

// syncsFiles tells whether each file is synced when it is written.
func (r *run) syncsFiles() bool { return r.o.Sync == durable.Fsync }

// commit makes everything durable and only then the directory one that a server
// starts on.
func (r *run) commit() error {
	p := r.p
	if r.o.Sync != durable.NoSync {
		r.o.Observer.info("syncing data to disk ...")
	}
	if err := r.dirs.SyncWritten(r.o.Sync); err != nil {
		return err
	}
	data := r.root()
	if r.o.Sync == durable.NoSync {
		if err := data.Rename(heldControl, backupset.ControlName); err != nil {
			return fmt.Errorf("could not rename file %q to %q: %w", filepath.Join(p.DataDir, heldControl), filepath.Join(p.DataDir, backupset.ControlName), err)
		}
	} else if err := durable.Rename(data, heldControl, backupset.ControlName); err != nil {
		return err
	}
	defer r.dirs.Release()
	// The restore is complete, whatever happens to the markers.
	targets := p.targets()
	for i := len(targets) - 1; i >= 0; i-- {
		dir := r.dirs.Root(targets[i].path)
		err := dir.Remove(backupset.RestoreMarker)
		if err == nil && r.o.Sync != durable.NoSync {
			err = durable.SyncDirIn(dir, ".")
		}
		if err != nil {
			path := filepath.Join(targets[i].path, backupset.RestoreMarker)
			p.warn(fmt.Sprintf("could not remove file %q, which says that the restore did not finish: %v", path, err))
		}
	}
	return nil
}
