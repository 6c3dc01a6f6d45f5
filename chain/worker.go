package chain

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/tarstream"
)

// worker puts files together, one at a time.
type worker struct {
	*Chain
	out      *output
	buf      []byte
	sums     []*summer // of each backup
	plan     plan
	composer composer
	layers   []layer // open files that the plan's extents are in
	indexes  []uint32
}

// layer is an open file of a backup.
type layer struct {
	f    *os.File
	info fs.FileInfo
	path string
}

func (c *Chain) newWorker(v tarstream.Visitor) *worker {
	w := &worker{Chain: c, out: newOutput(v, c.o.Checksums), buf: make([]byte, readSize)}
	for _, b := range c.backups {
		w.sums = append(w.sums, b.summer())
	}
	w.composer.blockSize = int64(c.layout.BlockSize)
	w.composer.buf = make([]byte, readSize)
	w.composer.emit = w.out.content
	w.composer.read = func(source int32, p []byte, at int64) error {
		l := &w.layers[source]
		if _, err := l.f.ReadAt(p, at); err != nil {
			return fmt.Errorf("could not read file %q: %w", l.path, noEOF(err))
		}
		return nil
	}
	return w
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// file passes on a file of the newest backup.
func (w *worker) file(ctx context.Context, prefix string, h *tarstream.Header) error {
	path := prefix + h.Name
	if target, ok := incremental.Target(path); ok {
		return w.reconstruct(ctx, prefix, target, h)
	}
	l, err := w.openLayer(w.last(), path)
	if err != nil {
		return err
	}
	defer l.f.Close()
	return w.whole(ctx, w.last(), l, path, h)
}

// openLayer opens a file of a backup.
func (w *worker) openLayer(b *backup, path string) (layer, error) {
	files, name, err := b.locate(path)
	if err != nil {
		return layer{}, err
	}
	f, info, err := files.Open(name)
	return layer{f, info, files.Path(name)}, err
}

// whole passes on a file as it is in backup b.
func (w *worker) whole(ctx context.Context, b *backup, l layer, path string, h *tarstream.Header) error {
	member := *h
	member.Size = l.info.Size()
	sums := w.sums[b.number]
	known := sums.has(w.o.Checksums)
	if err := w.out.begin(&member, known); err != nil {
		return err
	}
	done := false
	if c, ok := w.out.v.(Copier); ok {
		var err error
		if done, err = c.CopyFile(&member, l.path); err != nil {
			return err
		}
	}
	pass := w.out.content
	if done {
		pass = func(p []byte) error {
			if w.out.hashing {
				w.out.hash.Write(p)
			}
			return nil
		}
	}
	if !done || sums.needed() || w.out.hashing {
		if err := w.read(ctx, l, sums, pass); err != nil {
			return err
		}
	}
	if err := sums.end(path, member.Size); err != nil {
		return err
	}
	return w.out.end(sums.sum)
}

// read reads a file from beginning to end.
func (w *worker) read(ctx context.Context, l layer, sums *summer, pass func(p []byte) error) error {
	sums.begin()
	for left := l.info.Size(); left > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(l.f, w.buf[:min(left, readSize)])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("file %q shrank while it was read, from %d bytes to %d: %w",
				l.path, l.info.Size(), l.info.Size()-left+int64(n), io.ErrUnexpectedEOF)
		}
		if err != nil {
			return fmt.Errorf("could not read file %q: %w", l.path, err)
		}
		w.progress(n)
		p := w.buf[:n]
		sums.write(p)
		if err := pass(p); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// label passes backup_label on.
func (w *worker) label(ctx context.Context, h *tarstream.Header) error {
	b := w.last()
	l, err := w.openLayer(b, h.Name)
	if err != nil {
		return err
	}
	defer l.f.Close()
	if l.info.Size() > maxLabel {
		return fmt.Errorf("file %q is too large", l.path)
	}
	var content []byte
	err = w.read(ctx, l, w.sums[b.number], func(p []byte) error {
		content = append(content, p...)
		return nil
	})
	if err == nil {
		err = w.sums[b.number].end(h.Name, l.info.Size())
	}
	if err != nil {
		return err
	}
	content = stripLabel(content)
	member := *h
	member.Size = int64(len(content))
	return w.out.file(&member, content)
}

// maxLabel bounds a backup_label, in bytes.
const maxLabel = 64 << 10
