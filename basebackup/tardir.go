package basebackup

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/claim"
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
	dirs claim.Set
	// marker is the data directory's archive, without which the files are no
	// backup. It gets its name when they are durable: the manifest's provisional
	// name, which also tells that a backup is not complete, may be lost in a crash
	// that leaves the archive, and one without a manifest is a backup, too.
	marker string
}

func (d *tarDirectory) plain() bool { return false }

func (d *tarDirectory) prepare(s *site) error {
	d.s = s
	return d.dirs.Take("data", d.o.Path, s.dirMode)
}

func (d *tarDirectory) root() *os.Root { return d.dirs.Root(d.o.Path) }

func (d *tarDirectory) begin([]replproto.Tablespace) error { return nil }

func (d *tarDirectory) archive(a *replproto.Archive) (stream, error) {
	name := a.Name + d.o.Compression.Algorithm.Suffix()
	final := filepath.Join(d.o.Path, name)
	if a.Tablespace.OID == 0 {
		d.marker = name
		name += heldSuffix
	}
	f, err := d.create(name)
	if err != nil {
		return stream{}, err
	}
	if d.s.onFile != nil {
		d.s.onFile(final)
	}
	s := stream{path: final, raw: f, finish: f.Close, release: f.abort}
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
	f, err := d.create(d.s.walDirectory + ".tar" + d.o.Compression.Algorithm.Suffix())
	if err != nil {
		return walSink{}, err
	}
	w := tarstream.NewWriter(f)
	o := walstream.TarOptions{FileMode: d.s.fileMode}
	if d.o.Sync != durable.NoSync {
		o.Sync = f.sync
	}
	return walSink{
		Sink:  walstream.NewTar(w, o),
		close: func() error { return errors.Join(w.Close(), f.Close()) },
		abort: f.abort,
	}, nil
}

func (d *tarDirectory) create(name string) (*compressedFile, error) {
	f, err := durable.Create(d.root(), name, d.s.fileMode)
	if err != nil {
		return nil, err
	}
	return compressTo(f, d.o.Compression)
}

func (d *tarDirectory) manifest() (io.WriteCloser, error) {
	return createManifest(d.root(), d.s.fileMode)
}

func (d *tarDirectory) finish(complete bool) error {
	err := d.commit(complete)
	if err == nil {
		d.dirs.Release()
	}
	return err
}

func (d *tarDirectory) commit(complete bool) error {
	if d.o.Sync != durable.NoSync {
		d.s.observer.info("syncing data to disk ...")
	}
	if err := d.dirs.Sync(d.o.Sync); err != nil {
		return err
	}
	if !complete && !d.s.withManifest {
		return nil
	}
	err := commitFile(d.root(), d.marker, d.o.Sync)
	if err != nil || !complete || !d.s.withManifest {
		return err
	}
	return commitManifest(d.root(), d.o.Sync, d.s.observer)
}

func (d *tarDirectory) abort() { abandon(&d.dirs, d.o.NoClean, d.s) }
