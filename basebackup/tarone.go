package basebackup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/walstream"
)

// TarStream takes a backup as one tar on w, such as standard output: the data
// directory, then the streamed WAL as members of its WAL directory, then the
// manifest. The server must have no tablespace outside the data directory. w is
// neither closed nor synced, and after a failure what is on it is no backup:
// the tar lacks its end.
func TarStream(w io.Writer, compression codec.Spec) Destination {
	return &tarOne{w: w, compression: compression}
}

type tarOne struct {
	w           io.Writer
	compression codec.Spec
	s           *site
	codec       *codec.Writer
	tar         *tarstream.Writer // nil while bytes go through as they are
	spool       *spool
}

func (d *tarOne) plain() bool { return false }

func (d *tarOne) prepare(s *site) error {
	d.s = s
	var err error
	d.codec, err = codec.NewWriter(output{d.w}, d.compression)
	return err
}

// output says of errors where they come from.
type output struct{ io.Writer }

func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		return n, fmt.Errorf("could not write the backup to its output: %w", err)
	}
	return n, nil
}

func (d *tarOne) begin(list []replproto.Tablespace) error {
	if len(list) > 1 {
		return fmt.Errorf("can only write single tablespace to stdout, database has %d", len(list))
	}
	return nil
}

func (d *tarOne) archive(a *replproto.Archive) (stream, error) {
	if codec.ByName(a.Name) != codec.None {
		// Already compressed: nothing can be added, and Options.check has seen
		// to it that nothing is to be.
		return stream{raw: d.codec, finish: func() error { return nil }, release: func() {}}, nil
	}
	d.tar = tarstream.NewWriter(d.codec)
	in := tarstream.NewInjector(d.tar, d.s.injection)
	return stream{visitor: in, finish: in.Finish, release: func() {}}, nil
}

func (d *tarOne) wal() (walSink, error) {
	sink := walstream.NewTar(d.tar, walstream.TarOptions{Prefix: d.s.walDirectory + "/", FileMode: d.s.fileMode})
	return walSink{Sink: sink}, nil
}

// manifest puts the manifest aside, because a member's size comes before its
// content and WAL members come before it.
func (d *tarOne) manifest() (io.WriteCloser, error) {
	var err error
	d.spool, err = newSpool(d.s.tempDir)
	return d.spool, err
}

func (d *tarOne) finish(complete bool) error {
	if !complete {
		d.abort()
		return nil
	}
	if d.spool != nil {
		h := &tarstream.Header{
			Name: replproto.ManifestName, Type: tarstream.Regular, Mode: d.s.fileMode,
			UID: tarstream.InjectedUID, GID: tarstream.InjectedGID, Size: d.spool.size, ModTime: time.Now(),
		}
		if err := d.tar.WriteHeader(h); err != nil {
			return err
		}
		if err := d.spool.copyTo(d.tar); err != nil {
			return err
		}
	}
	var err error
	if d.tar != nil {
		err = d.tar.Close()
	}
	return errors.Join(err, d.codec.Close(), d.discard())
}

func (d *tarOne) abort() {
	if d.codec != nil {
		d.codec.Abort()
	}
	d.discard()
}

func (d *tarOne) discard() error {
	if d.spool == nil {
		return nil
	}
	return d.spool.discard()
}

// spool keeps a stream in a temporary file until it can be passed on.
type spool struct {
	file *os.File
	size int64
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "pgbasin-*")
	if err != nil {
		return nil, fmt.Errorf("could not create temporary file: %w", err)
	}
	return &spool{file: f}, nil
}

func (s *spool) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("could not write to temporary file %q: %w", s.file.Name(), err)
	}
	return n, nil
}

// Close keeps the content for copyTo.
func (s *spool) Close() error { return nil }

func (s *spool) copyTo(w io.Writer) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("could not read temporary file %q: %w", s.file.Name(), err)
	}
	_, err := io.Copy(w, s.file)
	return err
}

func (s *spool) discard() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
