package walstream

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pgbasin/pgbasin/tarstream"
)

// TarOptions say how segments become members.
type TarOptions struct {
	Prefix   string      // of every name: "pg_wal/" for an archive of the whole cluster
	FileMode fs.FileMode // 0 means 0600

	// Sync makes durable what the Writer has written so far, which includes
	// what stages below it hold back. It may be called while another goroutine
	// writes. nil means that this is not possible, as with compression: then no
	// flush position is reported, and a slot keeps all WAL from the start point
	// on until the stream ends.
	Sync func() error
}

// Tar is a Sink that makes every segment and file a member of an archive. The
// header comes first and nothing is changed later, so every segment begins at
// offset 0 and one that is closed early is filled up with zeroes; and the same
// WAL cannot be stored twice.
type Tar struct {
	w *tarstream.Writer
	o TarOptions

	name      string // of the open segment
	left      int64
	histories map[string]bool
}

// NewTar makes a Tar. The archive may have members already; ending it is for the
// caller.
func NewTar(w *tarstream.Writer, o TarOptions) *Tar {
	if o.FileMode == 0 {
		o.FileMode = 0o600
	}
	return &Tar{w: w, o: o, histories: make(map[string]bool)}
}

// OpenSegment implements Sink.
func (t *Tar) OpenSegment(seg Segment) error {
	if t.name != "" {
		return fmt.Errorf("could not add WAL file %q to the archive: %q is still open", seg.Name, t.name)
	}
	if seg.Offset != 0 {
		return fmt.Errorf("could not add WAL file %q to the archive: it cannot go on at offset %d", seg.Name, seg.Offset)
	}
	if err := t.member(seg.Name, seg.Size); err != nil {
		return fmt.Errorf("could not add WAL file %q to the archive: %w", seg.Name, err)
	}
	t.name, t.left = seg.Name, seg.Size
	return nil
}

// Write implements Sink.
func (t *Tar) Write(p []byte) (int, error) {
	if t.name == "" {
		return 0, errors.New("could not write WAL: no segment is open")
	}
	if int64(len(p)) > t.left {
		return 0, fmt.Errorf("could not write %d bytes to WAL file %q: beyond its size", len(p), t.name)
	}
	n, err := t.w.Write(p)
	t.left -= int64(n)
	if err != nil {
		return n, fmt.Errorf("could not write %d bytes to WAL file %q: %w", len(p), t.name, err)
	}
	return n, nil
}

// CloseSegment implements Sink.
func (t *Tar) CloseSegment() error {
	if t.name == "" {
		return errors.New("could not close WAL file: no segment is open")
	}
	name := t.name
	t.name, t.left = "", 0
	if err := t.w.Fill(); err != nil {
		return fmt.Errorf("could not close WAL file %q: %w", name, err)
	}
	return nil
}

// Sync implements Sink.
func (t *Tar) Sync() (bool, error) {
	if t.o.Sync == nil {
		return false, nil
	}
	if err := t.o.Sync(); err != nil {
		return false, fmt.Errorf("could not fsync the archive of WAL files: %w", err)
	}
	return true, nil
}

// WriteFile implements Sink.
func (t *Tar) WriteFile(name string, content []byte) error {
	if t.name != "" {
		return fmt.Errorf("could not add file %q to the archive: %q is still open", name, t.name)
	}
	if t.histories[name] {
		return fmt.Errorf("could not add file %q to the archive: it is there already", name)
	}
	err := t.member(name, int64(len(content)))
	if err == nil && len(content) > 0 {
		_, err = t.w.Write(content)
	}
	if err != nil {
		return fmt.Errorf("could not add file %q to the archive: %w", name, err)
	}
	if len(content) > 0 {
		// Archive status files are empty, never asked for, and many.
		t.histories[name] = true
	}
	return nil
}

// Exists implements Sink.
func (t *Tar) Exists(name string) (bool, error) { return t.histories[name], nil }

func (t *Tar) member(name string, size int64) error {
	return t.w.WriteHeader(&tarstream.Header{
		Name: t.o.Prefix + name, Mode: t.o.FileMode, Size: size, ModTime: time.Now(),
	})
}
