package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/tarstream"
)

// OnlyOptions say which files of a backup to get, and where to.
type OnlyOptions struct {
	// Backup is a full backup in any form, or "-" for Stdin.
	Backup string
	Stdin  io.Reader
	// Names are files, and directories with all that is below them, by their paths
	// relative to the data directory; those of tablespaces are below
	// pg_tblspc/<oid>, and those of WAL below pg_wal, wherever the backup has them.
	Names []string
	// Dir is an absolute path. The directory is made, or must be empty. The files
	// get the same paths below it.
	Dir string

	// NoVerify leaves out the comparison with the manifest.
	NoVerify bool
	Sync     SyncMethod
	// NoClean leaves everything in place when something fails.
	NoClean  bool
	Observer Observer
}

// OnlyResult is what Only got.
type OnlyResult struct {
	Dir   string
	Files int64
	Bytes int64
	// Verified says that the backup has a manifest, and that Compared of the files
	// are as it says. It says nothing of WAL, and that recovery's configuration may
	// be another one is all right.
	Verified bool
	Compared int64
	Duration time.Duration
}

// NotFoundError says that a backup has no files of some names.
type NotFoundError struct {
	Backup string
	Names  []string
}

func (e *NotFoundError) Error() string {
	quoted := make([]string, len(e.Names))
	for i, name := range e.Names {
		quoted[i] = strconv.Quote(name)
	}
	return fmt.Sprintf("backup %q has nothing that is called %s", e.Backup, strings.Join(quoted, " or "))
}

// Only gets some files out of a full backup, as they are in it, and compares them
// with its manifest. Nothing is made ready for a server: what comes out is no data
// directory, whatever is in it.
//
// Of a data directory, of an uncompressed tar, and of one with zstd and a seek table
// little else is read; other tars are read whole. When it fails, or ctx ends
// it, what it made is removed. Until it is done the directory holds a marker, by
// which a further run knows what a killed one left. Errors are, among others, those
// of backupset.Open, *IncrementalError, *NotFoundError, *NotEmptyError and
// *OverlapError.
func Only(ctx context.Context, o OnlyOptions) (*OnlyResult, error) {
	began := time.Now()
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("directory %q is not an absolute path", o.Dir)
	}
	o.Dir = filepath.Clean(o.Dir)
	names, err := memberNames(o.Names)
	if err != nil {
		return nil, err
	}
	set, err := backupset.Open(o.Backup, backupset.Options{Stdin: o.Stdin, Note: o.Observer.warning})
	if err != nil {
		return nil, err
	}
	defer set.Close()
	head, err := set.Peek(ctx)
	if err != nil {
		return nil, err
	}
	if head.Label != nil && head.Label.Incremental() {
		return nil, &IncrementalError{set.Path, head.Label.IncrementalFromLSN}
	}
	if err := checkSources(set, []target{{what: "directory", path: o.Dir}}); err != nil {
		return nil, err
	}
	r := &only{o: &o, set: set, head: head, names: names, found: make([]bool, len(names))}
	r.dirs.Spare = backupset.RestoreMarker
	r.dirs.Leftover = func(dir *os.Root) bool { return debris(dir, o.Dir) }
	err = r.run(ctx)
	r.close()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if o.NoClean {
			r.dirs.Keep(o.Observer.cleanup)
		} else {
			r.dirs.Remove(o.Observer.cleanup)
		}
		return nil, err
	}
	r.result.Dir, r.result.Duration = o.Dir, time.Since(began)
	return &r.result, nil
}

// only is one run of Only.
type only struct {
	o     *OnlyOptions
	set   *backupset.Set
	head  *backupset.Head
	names []string
	found []bool // of each name: something is called so

	dirs         claim.Set
	out          *tarstream.Extractor
	meter        *meter
	comparison   comparison
	manifestName string // of a manifest's copy in the directory
	parent       string // the directory that was made last
	result       OnlyResult
}

func (r *only) close() {
	r.comparison.close()
	if f := r.comparison.manifest; f != nil {
		f.Close()
	}
	if r.out != nil {
		r.out.Close()
	}
}

func (r *only) root() *os.Root { return r.dirs.Root(r.o.Dir) }

func (r *only) synced() bool { return r.o.Sync != durable.NoSync }

func (r *only) run(ctx context.Context) error {
	if err := r.claim(); err != nil {
		return err
	}
	r.comparison = comparison{set: r.set, warn: r.o.Observer.warning}
	r.comparison.start, _, _ = r.head.Start()
	if r.o.NoVerify {
		r.comparison.open(r.o.Dir, nil)
	} else {
		r.comparison.open(r.o.Dir, checksums(r.head))
	}
	if err := r.readAll(ctx); err != nil {
		return err
	}
	if err := r.checkFound(); err != nil {
		return err
	}
	r.result.Files, r.result.Bytes = r.comparison.recorder.Files(), r.comparison.recorder.Bytes()
	if err := r.verify(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.commit()
}

// claim takes the directory and marks it.
func (r *only) claim() error {
	if err := r.dirs.Take("target", r.o.Dir, 0o700); err != nil {
		return err
	}
	if r.synced() {
		if err := r.dirs.SyncNames(); err != nil {
			return err
		}
	}
	if err := newMarker(unfinished(r.o.Dir), r.o.Dir, []string{r.o.Dir}).put(r.root(), r.synced()); err != nil {
		return err
	}
	var err error
	r.out, err = tarstream.NewExtractor(tarstream.ExtractOptions{
		Dir: r.o.Dir, Open: r.dirs.Open, Exists: func(string) bool { return true }, // the directories above come when they are needed
		Writeback: r.o.Sync == durable.Syncfs, Sync: r.o.Sync == durable.Fsync,
	})
	return err
}

// readAll reads those archives that may have what is wanted.
func (r *only) readAll(ctx context.Context) error {
	r.meter = newMeter(r.o.Observer.Progress, 0, len(r.set.Archives))
	for i := range r.set.Archives {
		a := &r.set.Archives[i]
		v := &onlyArchive{only: r, prefix: archivePrefix(a)}
		names := below(r.names, strings.TrimSuffix(v.prefix, "/"))
		if a.Kind == backupset.Data && r.set.Form == backupset.Tar && !r.o.NoVerify && !r.head.StaleManifest {
			v.manifest = true
			names = append(names, backupset.ManifestName)
		}
		if len(names) > 0 {
			v.record, v.write = r.comparison.recording(v.prefix), r.meter.visitor(r.o.Dir, r.out)
			if err := r.set.ReadOnly(ctx, a, names, v); err != nil {
				return err
			}
		}
		r.meter.archiveDone()
	}
	if err := r.out.Close(); err != nil {
		return err
	}
	r.meter.finish()
	return nil
}

func (r *only) checkFound() error {
	e := &NotFoundError{Backup: r.o.Backup}
	for i, found := range r.found {
		if !found {
			e.Names = append(e.Names, r.names[i])
		}
	}
	if len(e.Names) > 0 {
		return e
	}
	return nil
}

// verify compares what came with the manifest, and takes the copy of one away.
func (r *only) verify() error {
	if r.o.NoVerify {
		r.result.Compared = 0
		return nil
	}
	m, err := r.comparison.compare(r.wanted)
	if err != nil {
		return err
	}
	if r.result.Verified = m != nil; !r.result.Verified {
		r.result.Compared = 0
	}
	f := r.comparison.manifest
	if f == nil {
		return nil
	}
	r.comparison.manifest = nil
	return errors.Join(f.Close(), r.root().Remove(r.manifestName))
}

// commit makes everything durable, and only then what it is.
func (r *only) commit() error {
	if r.synced() {
		r.o.Observer.info("syncing data to disk ...")
	}
	if err := r.dirs.SyncWritten(r.o.Sync); err != nil {
		return err
	}
	if err := r.root().Remove(backupset.RestoreMarker); err != nil {
		return fmt.Errorf("could not remove file %q: %w", filepath.Join(r.o.Dir, backupset.RestoreMarker), err)
	}
	if r.synced() {
		if err := durable.SyncDirIn(r.root(), "."); err != nil {
			return err
		}
	}
	r.dirs.Release()
	return nil
}
