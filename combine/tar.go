package combine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/tarstream"
)

// baseName is the name of the data directory's tar file.
func (r *run) baseName() string { return "base.tar" + r.o.Compression.Algorithm.Suffix() }

// writeTar writes an archive as a tar file.
func (r *run) writeTar(ctx context.Context, a *backupset.Archive) error {
	w := &tarWriter{run: r, prefix: prefix(a)}
	name := r.baseName()
	switch a.Kind {
	case backupset.Data:
		name += heldSuffix // its name makes the files a backup
	case backupset.WAL:
		name = "pg_wal.tar" + r.o.Compression.Algorithm.Suffix()
	case backupset.Tablespace:
		name = fmt.Sprintf("%d.tar%s", a.OID, r.o.Compression.Algorithm.Suffix())
	}
	w.path = filepath.Join(r.o.Output, name)
	if a.Kind != backupset.Data {
		if err := w.open(); err != nil {
			return err
		}
	}
	defer w.abort()
	if err := r.chain.Read(ctx, a, w); err != nil {
		return err
	}
	return w.close()
}

// tarWriter writes one tar file.
type tarWriter struct {
	*run
	prefix string
	path   string // of the file
	file   *os.File
	codec  *codec.Writer
	out    *tarstream.Writer

	header   tarstream.Header
	name     string // of the current member, in the manifest
	skip     bool
	sum      []byte
	finished bool
}

func (w *tarWriter) open() error {
	w.o.Observer.debugf("writing %q", w.path)
	var err error
	if w.file, err = durable.Create(w.root(), filepath.Base(w.path), w.fileMode); err != nil {
		return err
	}
	if w.codec, err = codec.NewWriter(w, w.o.Compression); err != nil {
		return err
	}
	w.out = tarstream.NewWriter(w.codec)
	return nil
}

// Write names the file in errors.
func (w *tarWriter) Write(p []byte) (int, error) {
	n, err := durable.Write(w.file, p)
	if err != nil {
		return n, fmt.Errorf("could not write to file %q: %w", w.path, err)
	}
	return n, nil
}

func (w *tarWriter) close() error {
	if w.out == nil {
		return fmt.Errorf("backup %q is empty", w.chain.Last().Path)
	}
	if err := w.out.Close(); err != nil {
		return err
	}
	if err := w.codec.Close(); err != nil {
		return err
	}
	w.finished = true
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", w.path, err)
	}
	return nil
}

// abort gives up what was not finished.
func (w *tarWriter) abort() {
	if w.finished {
		return
	}
	if w.codec != nil {
		w.codec.Abort()
	}
	if w.file != nil {
		w.file.Close()
	}
}

// Member implements tarstream.Visitor.
func (w *tarWriter) Member(h *tarstream.Header) error {
	if w.out == nil {
		if err := w.begin(h.Mode); err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
	}
	w.name, w.sum = w.prefix+h.Name, nil
	// The links to tablespaces are in tablespace_map, which is made anew.
	w.skip = h.Type == tarstream.Symlink || w.name == backupset.TablespaceMapName || h.Name == "."
	if w.skip {
		return nil
	}
	w.header = *h
	return w.out.Member(&w.header)
}

// Content implements tarstream.Visitor.
func (w *tarWriter) Content(p []byte) error {
	if w.skip {
		return nil
	}
	return w.out.Content(p)
}

// Sum implements chain.Summer.
func (w *tarWriter) Sum(sum []byte) error {
	w.sum = sum
	return nil
}

// EndMember implements tarstream.Visitor.
func (w *tarWriter) EndMember() error {
	if w.skip {
		return nil
	}
	if err := w.out.EndMember(); err != nil {
		return err
	}
	h := &w.header
	if h.Type == tarstream.Directory {
		return nil
	}
	if err := w.list.add(w.name, h.Size, h.ModTime, w.sum); err != nil {
		return err
	}
	if w.name != backupset.LabelName {
		return nil
	}
	return w.addMap()
}

// addMap writes tablespace_map behind the label, where servers have it.
func (w *tarWriter) addMap() error {
	content := w.tablespaceMap()
	h := w.header
	h.Name, h.Size = backupset.TablespaceMapName, int64(len(content))
	if err := tarstream.WriteFile(w.out, &h, content); err != nil {
		return err
	}
	var sum []byte
	if hash := w.o.Checksums.New(); hash != nil {
		hash.Write(content)
		sum = hash.Sum(nil)
	}
	return w.list.add(h.Name, h.Size, h.ModTime, sum)
}
