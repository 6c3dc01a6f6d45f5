package walstream

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/internal/claim"
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

// OpenSegment implements Sink. With Partial it takes up a file that is there
// already.
func (d *Directory) OpenSegment(seg Segment) error {
	if err := d.failed(); err != nil {
		return err
	}
	if d.file != nil {
		return fmt.Errorf("could not open write-ahead log file %q: %q is still open", seg.Name, d.seg.Name)
	}
	if seg.Offset < 0 || seg.Offset >= seg.Size {
		return fmt.Errorf("could not open write-ahead log file %q: offset %d is not in a segment of %d bytes", seg.Name, seg.Offset, seg.Size)
	}
	var f *os.File
	err := d.patiently(func() (err error) {
		f, err = d.open(seg)
		return err
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.file = f
	if !d.o.Partial {
		d.dirs["."] = true
	}
	d.mu.Unlock()
	d.seg, d.at, d.writeback = seg, seg.Offset, seg.Offset
	return nil
}

func (d *Directory) open(seg Segment) (*os.File, error) {
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	name := d.fileName(seg.Name)
	var f *os.File
	switch {
	case seg.Offset > 0:
		f, err = durable.OpenWrite(root, name)
	case d.o.Partial:
		f, err = durable.OpenOrCreate(root, name, d.o.FileMode)
	default:
		f, err = durable.Create(root, name, d.o.FileMode)
	}
	if err != nil {
		return nil, openFailed(filepath.Join(d.o.Path, name), err)
	}
	if err := d.allocate(f, seg); err != nil {
		err = errors.Join(err, f.Close())
		if !d.o.Partial && seg.Offset == 0 {
			err = errors.Join(err, root.Remove(name))
		}
		return nil, err
	}
	return f, nil
}

// openFailed words an error of opening a segment as pg_receivewal does.
func openFailed(path string, err error) error {
	var failed *fs.PathError
	if !errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("could not open write-ahead log file %q: %w", path, failed)
}

// patiently does something that needs room, again if it finds none.
func (d *Directory) patiently(do func() error) error {
	for {
		err := do()
		if err == nil || d.o.Full == nil || d.failed() != nil || !NoRoom(err) || d.o.Full(err) != nil {
			return err
		}
	}
}

// allocate brings the file to full size.
func (d *Directory) allocate(f *os.File, seg Segment) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("could not get size of write-ahead log file %q: %w", f.Name(), err)
	}
	size := info.Size()
	switch {
	case size == seg.Size:
	case size > seg.Size || seg.Offset > 0:
		return fmt.Errorf("write-ahead log file %q has %d bytes, should be 0 or %d", f.Name(), size, seg.Size)
	default:
		// A shorter one was left when its making was interrupted, before
		// anything in it was acknowledged.
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("could not truncate file %q: %w", f.Name(), err)
		}
		preallocate := durable.Preallocate
		if d.o.ZeroFill {
			preallocate = zeroFill
		}
		if err := preallocate(f, seg.Size); err != nil {
			// Gives the space back, and lets a later attempt begin anew.
			return errors.Join(err, f.Truncate(0))
		}
	}
	if d.o.NoSync || !d.o.Partial {
		return nil
	}
	// From here on Datasync suffices: neither the size nor the name changes
	// while the segment is written. What a file that existed holds is synced
	// too, in case of a crash before.
	err = f.Sync()
	if err != nil {
		err = d.fail(fmt.Errorf("could not fsync file %q: %w", f.Name(), err))
	} else {
		err = d.syncDir(".")
	}
	if err != nil && size < seg.Size {
		// A later run would take it up, and its next syncs for a promise.
		err = errors.Join(err, d.remove(filepath.Base(f.Name())))
	}
	return err
}

// remove removes a file of the archive.
func (d *Directory) remove(name string) error {
	root, err := d.root()
	if err == nil {
		err = root.Remove(name)
	}
	if err != nil {
		return fmt.Errorf("could not remove file %q: %w", filepath.Join(d.o.Path, name), err)
	}
	return nil
}

func zeroFill(f *os.File, size int64) error {
	zeroes := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; {
		n, err := f.WriteAt(zeroes[:min(size-at, int64(len(zeroes)))], at)
		if err != nil {
			return fmt.Errorf("could not write to file %q: %w", f.Name(), err)
		}
		at += int64(n)
	}
	return nil
}

// Write implements Sink.
func (d *Directory) Write(p []byte) (int, error) {
	if d.file == nil {
		return 0, errors.New("could not write WAL: no segment is open")
	}
	if int64(len(p)) > d.seg.Size-d.at {
		return 0, fmt.Errorf("could not write %d bytes to WAL file %q: beyond its size of %d bytes", len(p), d.file.Name(), d.seg.Size)
	}
	start := d.at
	err := d.patiently(func() error {
		n, err := d.file.WriteAt(p[d.at-start:], d.at)
		d.at += int64(n)
		if err != nil {
			err = fmt.Errorf("could not write %d bytes to WAL file %q: %w", len(p), d.file.Name(), err)
		}
		return err
	})
	n := int(d.at - start)
	if err != nil {
		return n, err
	}
	if !d.o.NoSync && d.at-d.writeback >= writebackStep {
		durable.StartWriteback(d.file, d.writeback, d.at-d.writeback)
		d.writeback = d.at
	}
	return n, nil
}

// CloseSegment implements Sink.
func (d *Directory) CloseSegment() error {
	if d.file == nil {
		return errors.New("could not close WAL file: no segment is open")
	}
	if d.o.Partial {
		return d.closePartial()
	}
	// At most one segment waits for its sync while the next is written.
	d.mu.Lock()
	waiting := len(d.closed) > 0
	d.mu.Unlock()
	if waiting {
		if _, err := d.Sync(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	f := d.file
	d.file = nil
	if !d.o.NoSync {
		d.closed = append(d.closed, f)
	}
	d.mu.Unlock()
	if d.o.NoSync {
		return closeFile(f)
	}
	return nil
}

// closePartial makes the segment durable, and then gives it its final name if it is whole.
func (d *Directory) closePartial() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	f := d.file
	d.file = nil
	d.mu.Unlock()

	err := d.failed()
	if err == nil && !d.o.NoSync {
		err = d.datasync(f)
	}
	if err := errors.Join(err, closeFile(f)); err != nil {
		return err
	}
	if d.at < d.seg.Size {
		return nil
	}
	return d.rename(d.fileName(d.seg.Name), d.seg.Name)
}

// rename gives a file whose content is durable its final name. When that cannot
// be made durable, the file has its old one again: a later run takes what has a
// final name for durable.
func (d *Directory) rename(from, to string) error {
	root, err := d.root()
	if err == nil {
		err = root.Rename(from, to)
	}
	if err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", filepath.Join(d.o.Path, from), filepath.Join(d.o.Path, to), err)
	}
	if d.o.NoSync {
		return nil
	}
	if err = d.syncDir("."); err != nil {
		err = errors.Join(err, root.Rename(to, from))
	}
	return err
}

// Sync implements Sink.
func (d *Directory) Sync() (bool, error) {
	if d.o.NoSync {
		return false, nil
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	err := d.err
	closed, open := d.closed, d.file
	d.closed = nil
	dirs := slices.Collect(maps.Keys(d.dirs))
	clear(d.dirs)
	d.mu.Unlock()

	for _, f := range closed {
		if err == nil {
			err = d.datasync(f)
		}
		if e := closeFile(f); err == nil {
			err = e
		}
	}
	if err == nil && open != nil {
		err = d.datasync(open)
	}
	for _, dir := range dirs {
		if err == nil {
			err = d.syncDir(dir)
		}
	}
	return err == nil, err
}

// WriteFile implements Sink. Unless NoSync was asked for, a file with content is
// durable when it returns, and an empty one, of which there are many, after the
// next Sync.
func (d *Directory) WriteFile(name string, content []byte) error {
	root, err := d.root()
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if dir != "." {
		if err := claim.MakeBelow(root, dir, d.o.DirMode); err != nil {
			return err
		}
	}
	if len(content) == 0 {
		d.mu.Lock()
		d.dirs["."], d.dirs[dir] = true, true
		d.mu.Unlock()
		return d.patiently(func() error { return d.writeFile(root, name, nil) })
	}
	// The suffix is pg_receivewal's, whose leavings are overwritten.
	tmp := name + ".tmp"
	if err := d.patiently(func() error { return d.writeFile(root, tmp, content) }); err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	if !d.o.NoSync {
		if err := durable.SyncFileIn(root, tmp); err != nil {
			return d.fail(err)
		}
	}
	return d.rename(tmp, name)
}

// writeFile makes a file in place of one that is there. A link is replaced, not
// followed.
func (d *Directory) writeFile(root *os.Root, name string, content []byte) error {
	f, err := durable.Create(root, name, d.o.FileMode)
	if errors.Is(err, fs.ErrExist) {
		if err = root.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			f, err = durable.Create(root, name, d.o.FileMode)
		}
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(fmt.Errorf("could not write file %q: %w", f.Name(), err), f.Close())
	}
	return closeFile(f)
}

// Exists implements Sink.
func (d *Directory) Exists(name string) (bool, error) {
	root, err := d.root()
	if err != nil {
		return false, err
	}
	_, err = root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", filepath.Join(d.o.Path, name), err)
	}
	return true, nil
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

func (d *Directory) datasync(f *os.File) error {
	begin := time.Now()
	if err := durable.Datasync(f); err != nil {
		return d.fail(fmt.Errorf("could not fsync file %q: %w", f.Name(), err))
	}
	if d.o.Synced != nil {
		d.o.Synced(time.Since(begin))
	}
	return nil
}

// syncDir makes the entries of a directory durable.
func (d *Directory) syncDir(name string) error {
	root, err := d.root()
	if err != nil {
		return err
	}
	return d.fail(durable.SyncDirIn(root, name))
}

// fail keeps the error of a sync, if it is one, for good.
func (d *Directory) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.err == nil {
		d.err = err
	}
	return err
}

func (d *Directory) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func closeFile(f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", f.Name(), err)
	}
	return nil
}
