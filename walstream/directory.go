package walstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/wal"
)

const (
	// PartialSuffix ends the names of segments that are not whole, as
	// pg_receivewal has it.
	PartialSuffix = wal.PartialSuffix

	// writebackStep is after how many bytes the kernel is asked to begin
	// writing, so that the sync at a segment's end finds little left to do.
	writebackStep = 1 << 20
)

// DirectoryOptions say how segments become files.
type DirectoryOptions struct {
	Path string // must exist
	// Open opens Path, for who has it open already and wants no other directory
	// that may have the path by now. The Directory closes what it returns. nil
	// opens what the path leads to. Everything is made below the directory that
	// was opened first; links in it are not followed.
	Open func(path string) (*os.Root, error)

	// Partial is for an archive that outlives this process: a segment has the
	// suffix ".partial" until it is whole. It is synced before it gets its
	// name, and the directory after, before CloseSegment returns: there is never
	// more than one such file on a timeline. Without it, for a backup, segments
	// have their final names from the start and must not exist before.
	Partial bool

	// NoSync leaves it to the caller to make the files durable. Sync then
	// reports nothing as durable.
	NoSync bool

	// ZeroFill writes the zeroes of a new segment where otherwise only its space
	// is reserved. That takes a while once a segment, but syncs of what is
	// written over them are nearly twice as fast on file systems that keep
	// track of what was never written (ext4, xfs): for synchronous receiving.
	ZeroFill bool

	FileMode fs.FileMode // 0 means 0600
	DirMode  fs.FileMode // of archive_status, if it is made; 0 means 0700

	// Full is called with the error when there is no room, and may wait. nil
	// from it means to try again; what it returns otherwise does not matter. It
	// may be called on any goroutine that calls a method. nil never tries again.
	Full func(err error) error
	// Synced is told how long each sync of a segment took. It may be nil.
	Synced func(took time.Duration)
}

// Directory is a Sink that keeps every segment as a file of full size, zeroes
// where nothing was received yet.
//
// After a failed sync nothing is opened, completed or synced any more: the
// kernel may have dropped what it could not write, so that the next sync would
// succeed for nothing. What the segment had must be received again, from its
// start, through a new Directory.
type Directory struct {
	o    DirectoryOptions
	root func() (*os.Root, error) // opens it once

	file      *os.File // of the open segment
	seg       Segment
	at        int64 // offset of the next write
	writeback int64 // where the kernel's writing was last begun

	// mu protects what Sync shares with the goroutine that writes: the pointer
	// to the open file (changed by that goroutine alone, which therefore may read it),
	// and what follows.
	mu sync.Mutex
	// closed has files that are written and wait for a sync; only a sync, or
	// Close, closes them, so that none closes a file under another's hands.
	closed []*os.File
	dirs   map[string]bool // directories with entries that are not durable, by their names below Path
	err    error
	opened *os.Root // what Close closes; nil if there is nothing

	syncing sync.Mutex // held by the one Sync that is under way
}

// NewDirectory makes a Directory. The caller closes it.
func NewDirectory(o DirectoryOptions) *Directory {
	if o.FileMode == 0 {
		o.FileMode = 0o600
	}
	if o.DirMode == 0 {
		o.DirMode = 0o700
	}
	if o.Open == nil {
		o.Open = durable.OpenRoot
	}
	d := &Directory{o: o, dirs: make(map[string]bool)}
	d.root = sync.OnceValues(func() (*os.Root, error) {
		root, err := o.Open(o.Path)
		if err != nil {
			return nil, fmt.Errorf("could not open directory %q: %w", o.Path, err)
		}
		d.mu.Lock()
		d.opened = root
		d.mu.Unlock()
		return root, nil
	})
	return d
}

// Close closes the files that are open. It makes nothing durable.
func (d *Directory) Close() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	files := d.closed
	if d.file != nil {
		files = append(files, d.file)
	}
	d.closed, d.file = nil, nil
	var errs []error
	for _, f := range files {
		errs = append(errs, closeFile(f))
	}
	if d.opened != nil {
		errs = append(errs, d.opened.Close())
		d.opened = nil
	}
	return errors.Join(errs...)
}

// fileName is what the file of a segment that is not whole is called.
func (d *Directory) fileName(segment string) string {
	if d.o.Partial {
		return segment + PartialSuffix
	}
	return segment
}
