package basebackup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/walstream"
)

// TarOptions say where a tar format backup goes.
type TarOptions struct {
	// Path is the directory of the tar files. It is made, or must be empty.
	Path string
	// Compression is done here; the server's own goes through untouched.
	Compression codec.Spec
	Sync        durable.SyncMethod
	// NoClean leaves everything in place when the backup fails.
	NoClean bool
}

// TarDirectory takes a backup as tar files in a directory: base.tar, one
// OID.tar for each tablespace, pg_wal.tar if WAL is streamed, and
// backup_manifest.
func TarDirectory(o TarOptions) Destination { return &tarDirectory{o: o} }

type tarDirectory struct {
	o    TarOptions
	s    *site
	dirs claims
	// marker is the file whose final name makes the files a backup where there
	// is no manifest: the data directory's archive.
	marker string
}

func (d *tarDirectory) plain() bool { return false }

func (d *tarDirectory) prepare(s *site) error {
	d.s = s
	return d.dirs.take("data", d.o.Path, s.dirMode)
}

func (d *tarDirectory) begin([]replproto.Tablespace) error { return nil }

func (d *tarDirectory) archive(a *replproto.Archive) (stream, error) {
	name := a.Name + d.o.Compression.Algorithm.Suffix()
	path := filepath.Join(d.o.Path, name)
	final := path
	if a.Tablespace.OID == 0 && !d.s.withManifest {
		d.marker = path
		path += heldSuffix
	}
	f, err := d.create(path)
	if err != nil {
		return stream{}, err
	}
	if d.s.onFile != nil {
		d.s.onFile(path)
	}
	s := stream{path: final, raw: f, finish: f.Close, release: func() { f.Close() }}
	if a.Tablespace.OID != 0 || emptyInjection(d.s.injection) {
		return s, nil
	}
	w := tarstream.NewWriter(f)
	in := tarstream.NewInjector(w, d.s.injection)
	s.raw, s.visitor = nil, in
	s.finish = func() error { return errors.Join(in.Finish(), w.Close(), f.Close()) }
	return s, nil
}

func (d *tarDirectory) wal() (walSink, error) {
	path := filepath.Join(d.o.Path, d.s.walDirectory+".tar"+d.o.Compression.Algorithm.Suffix())
	o := walstream.TarOptions{FileMode: d.s.fileMode}
	var out io.WriteCloser
	if d.o.Compression.Algorithm == codec.None {
		// Nothing is held back between the segments and the file, so that
		// what was received can be made durable and acknowledged.
		f, err := createFile(path, d.s.fileMode)
		if err != nil {
			return walSink{}, err
		}
		if d.o.Sync != durable.NoSync {
			o.Sync = func() error { return durable.Datasync(f) }
		}
		out = f
	} else {
		f, err := d.create(path)
		if err != nil {
			return walSink{}, err
		}
		out = f
	}
	w := tarstream.NewWriter(out)
	return walSink{walstream.NewTar(w, o), func() error { return errors.Join(w.Close(), out.Close()) }}, nil
}

func (d *tarDirectory) create(path string) (*compressedFile, error) {
	f, err := createFile(path, d.s.fileMode)
	if err != nil {
		return nil, err
	}
	return compressTo(f, d.o.Compression)
}

func (d *tarDirectory) manifest() (io.WriteCloser, error) {
	return createFile(filepath.Join(d.o.Path, replproto.ManifestName+heldSuffix), d.s.fileMode)
}

func (d *tarDirectory) finish(complete bool) error {
	defer d.dirs.release()
	if d.o.Sync != durable.NoSync {
		d.s.observer.info("syncing data to disk ...")
	}
	if err := d.dirs.sync(d.o.Sync); err != nil || !complete {
		return err
	}
	if d.s.withManifest {
		return commitManifest(d.o.Path, d.o.Sync, d.s.observer)
	}
	return commitFile(d.marker+heldSuffix, d.marker, d.o.Sync)
}

func (d *tarDirectory) abort() { abandon(d.dirs, d.o.NoClean, d.s) }

// fileBuffer gathers the small writes of tar headers and of compressors. Data
// that is larger goes past it.
const fileBuffer = 256 << 10

// compressedFile is a file with a compressor in front.
type compressedFile struct {
	file   *os.File
	buf    *bufio.Writer
	codec  io.WriteCloser
	closed bool
	synced int64 // writeback has been started up to here
	size   int64
}

func compressTo(f *os.File, spec codec.Spec) (*compressedFile, error) {
	c := &compressedFile{file: f}
	c.buf = bufio.NewWriterSize((*writebackFile)(c), fileBuffer)
	w, err := codec.NewWriter(c.buf, spec)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c.codec = w
	return c, nil
}

func (c *compressedFile) Write(p []byte) (int, error) {
	n, err := c.codec.Write(p)
	if err != nil {
		return n, fmt.Errorf("could not write to file %q: %w", c.file.Name(), err)
	}
	return n, nil
}

// Close is part of the write: what the compressor and the buffer still hold
// must reach the file. Closing again does nothing.
func (c *compressedFile) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.codec.Close()
	if err == nil {
		err = c.buf.Flush()
	}
	if err := errors.Join(err, c.file.Close()); err != nil {
		return fmt.Errorf("could not write to file %q: %w", c.file.Name(), err)
	}
	return nil
}

// writebackFile starts writing to the device early, so that the sync at the
// end finds little left to do.
type writebackFile compressedFile

const writebackStep = 8 << 20

func (w *writebackFile) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if w.size += int64(n); w.size-w.synced >= writebackStep {
		durable.StartWriteback(w.file, w.synced, w.size-w.synced)
		w.synced = w.size
	}
	return n, err
}
