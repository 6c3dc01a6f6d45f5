package walstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// freshSuffix is that of a partial segment which is received again while the one
// that is there still has more of it.
const freshSuffix = ".new"

// Compressed is a Sink for an archive that keeps every segment as a compressed
// file: NAME.gz, .lz4 or .zst, with ".partial" at the end until the segment is
// whole, as pg_receivewal names them. A file is one stream, so that a segment
// cannot be gone on with, only be begun again; the older file stays until there
// is more in the new one than in the old one.
//
// Sync flushes the compression, so that all that was written before can be had
// from the file.
type Compressed struct {
	d    *Directory // what is not a segment, and the state of failed syncs
	spec codec.Spec

	seg     Segment
	at      int64
	partial string // name of the open segment while it is not whole
	name    string // what its file is called now
	before  int64  // how much an older file of that name has; the new one has freshSuffix then

	syncing sync.Mutex // held while the open file must not be closed by others

	// mu protects the compressor and what is below. The file is changed by the
	// goroutine that writes alone, which therefore may read it.
	mu   sync.Mutex
	z    *codec.Writer
	file *os.File
	// dirty tells that something was written since the last flush.
	dirty bool
}

// NewCompressed makes a Compressed, with Partial taken as set and ZeroFill as not
// set. The caller closes it.
func NewCompressed(o DirectoryOptions, s codec.Spec) (*Compressed, error) {
	if s.Algorithm == codec.None {
		return nil, errors.New("a directory of compressed WAL needs a compression")
	}
	z, err := codec.NewWriter(io.Discard, s)
	if err != nil {
		return nil, err
	}
	z.Abort()
	o.Partial = true
	return &Compressed{d: NewDirectory(o), spec: s}, nil
}

// OpenSegment implements Sink.
func (c *Compressed) OpenSegment(seg Segment) error {
	if err := c.d.failed(); err != nil {
		return err
	}
	if c.file != nil {
		return fmt.Errorf("could not open write-ahead log file %q: %q is still open", seg.Name, c.seg.Name)
	}
	if seg.Offset != 0 {
		return fmt.Errorf("could not open write-ahead log file %q: it is compressed and cannot go on at offset %d", seg.Name, seg.Offset)
	}
	root, err := c.d.root()
	if err != nil {
		return err
	}
	partial := seg.Name + c.spec.Algorithm.Suffix() + PartialSuffix
	before, err := c.settle(partial, seg.Size)
	if err != nil {
		return err
	}
	name := partial
	if before > 0 {
		name += freshSuffix
	}
	var f *os.File
	err = c.d.patiently(func() (err error) {
		f, err = durable.OpenOrCreate(root, name, c.d.o.FileMode)
		return err
	})
	if err != nil {
		return openFailed(filepath.Join(c.d.o.Path, name), err)
	}
	if err := f.Truncate(0); err != nil {
		return errors.Join(fmt.Errorf("could not truncate file %q: %w", f.Name(), err), closeFile(f))
	}
	if !c.d.o.NoSync {
		if err := c.d.syncDir("."); err != nil {
			// A later run would take it up, and its next syncs for a promise.
			return errors.Join(err, closeFile(f), c.remove(name))
		}
	}
	z, err := codec.NewWriter(patientFile{c.d, f}, c.spec)
	if err != nil {
		return errors.Join(err, closeFile(f))
	}
	c.mu.Lock()
	c.file, c.z, c.dirty = f, z, false
	c.mu.Unlock()
	c.seg, c.at, c.partial, c.name, c.before = seg, 0, partial, name, before
	return nil
}

// settle leaves at most one file of a partial segment, the one with more in it,
// and returns how much that is. The file is durable then, whoever wrote it: what
// is received again, and acknowledged, may be given up for it.
func (c *Compressed) settle(partial string, size int64) (int64, error) {
	have, err := c.received(partial, size)
	if err != nil {
		return 0, err
	}
	fresh := partial + freshSuffix
	more, err := c.received(fresh, size)
	if err != nil || have == 0 && more == 0 {
		return 0, err
	}
	if more <= have {
		return have, c.syncFile(partial)
	}
	if err := c.syncFile(fresh); err != nil {
		return 0, err
	}
	return more, c.d.rename(fresh, partial)
}

func (c *Compressed) syncFile(name string) error {
	if c.d.o.NoSync {
		return nil
	}
	root, err := c.d.root()
	if err != nil {
		return err
	}
	return c.d.fail(durable.SyncFileIn(root, name))
}

// received is how much can be had from a partial file, 0 if there is none. Such
// a file may end anywhere.
func (c *Compressed) received(name string, size int64) (int64, error) {
	path := filepath.Join(c.d.o.Path, name)
	n, err := decompress(path, c.spec.Algorithm, size)
	var failed *fs.PathError
	var special *durable.NotRegularError
	switch {
	case errors.As(err, &special):
		return 0, err
	case errors.As(err, &failed) && !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("could not read write-ahead log file %q: %w", path, err)
	}
	return n, nil
}

// patientFile is a file that waits for room.
type patientFile struct {
	d *Directory
	f *os.File
}

func (p patientFile) Write(b []byte) (n int, err error) {
	err = p.d.patiently(func() error {
		m, err := p.f.Write(b[n:])
		n += m
		return err
	})
	return n, err
}

// Write implements Sink.
func (c *Compressed) Write(p []byte) (int, error) {
	if c.file == nil {
		return 0, errors.New("could not write WAL: no segment is open")
	}
	if int64(len(p)) > c.seg.Size-c.at {
		return 0, fmt.Errorf("could not write %d bytes to WAL file %q: beyond its size of %d bytes", len(p), c.file.Name(), c.seg.Size)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	if _, err := c.z.Write(p); err != nil {
		return 0, fmt.Errorf("could not write %d bytes to WAL file %q: %w", len(p), c.file.Name(), err)
	}
	c.at += int64(len(p))
	return len(p), nil
}

// CloseSegment implements Sink.
func (c *Compressed) CloseSegment() error {
	if c.file == nil {
		return errors.New("could not close WAL file: no segment is open")
	}
	c.syncing.Lock()
	defer c.syncing.Unlock()
	c.mu.Lock()
	f := c.file
	c.file = nil
	err := c.d.failed()
	if e := c.z.Close(); err == nil && e != nil {
		err = fmt.Errorf("could not write to WAL file %q: %w", f.Name(), e)
	}
	c.mu.Unlock()
	if err == nil && !c.d.o.NoSync {
		err = c.d.datasync(f)
	}
	if err := errors.Join(err, closeFile(f)); err != nil {
		return err
	}
	return c.rename()
}

// rename gives the file, which is closed, the name for what it has.
func (c *Compressed) rename() error {
	target := c.partial
	if c.at == c.seg.Size {
		target = c.seg.Name + c.spec.Algorithm.Suffix()
	}
	switch {
	case c.at < c.before:
		return c.remove(c.name)
	case c.name == target:
		return nil
	}
	if err := c.d.rename(c.name, target); err != nil {
		return err
	}
	if c.before > 0 && target != c.partial {
		// Only now: the file under its old name is not seen by others.
		return c.remove(c.partial)
	}
	return nil
}

func (c *Compressed) remove(name string) error { return c.d.remove(name) }

// Sync implements Sink.
func (c *Compressed) Sync() (bool, error) {
	if c.d.o.NoSync {
		return false, nil
	}
	c.syncing.Lock()
	defer c.syncing.Unlock()
	c.mu.Lock()
	f, dirty := c.file, c.dirty
	err := c.d.failed()
	if err == nil && f != nil && dirty {
		c.dirty = false
		if err = c.z.Flush(); err != nil {
			// The stream has a hole now.
			err = c.d.fail(fmt.Errorf("could not write to WAL file %q: %w", f.Name(), err))
		}
	}
	c.mu.Unlock()
	if err == nil && f != nil && dirty {
		err = c.d.datasync(f)
	}
	if err != nil {
		return false, err
	}
	return c.d.Sync()
}

// WriteFile implements Sink.
func (c *Compressed) WriteFile(name string, content []byte) error {
	return c.d.WriteFile(name, content)
}

// Exists implements Sink.
func (c *Compressed) Exists(name string) (bool, error) { return c.d.Exists(name) }

// Close closes the files that are open. It makes nothing durable.
func (c *Compressed) Close() error {
	c.syncing.Lock()
	f := c.file
	c.file = nil
	c.syncing.Unlock()
	if f == nil {
		return c.d.Close()
	}
	c.z.Abort()
	return errors.Join(closeFile(f), c.d.Close())
}

func (c *Compressed) failed() error { return c.d.failed() }
