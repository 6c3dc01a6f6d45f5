package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/tarstream"
)

// readSize is how much is read at once, in bytes.
const readSize = 1 << 20

// readDirect reads an archive of data directories: each file is looked up by its
// name in the older ones.
func (c *Chain) readDirect(ctx context.Context, a *backupset.Archive, workers int, visitor func() tarstream.Visitor) error {
	b := c.last()
	if !b.take(a) {
		return fmt.Errorf("archive %q of backup %q was read before", a.Name, b.path)
	}
	files, err := b.open(a)
	if err != nil {
		return err
	}
	l := &lister{ctx: ctx, prefix: prefix(a)}
	l.w = c.newWorker(visitor())
	if workers == 1 {
		l.send = func(h *tarstream.Header) error { return l.w.file(ctx, l.prefix, h) }
		return files.List(ctx, l)
	}
	group, inner := errgroup.WithContext(ctx)
	jobs := make(chan tarstream.Header, 4*workers)
	for range workers {
		w := c.newWorker(visitor())
		group.Go(func() error {
			for h := range jobs {
				if err := w.file(inner, l.prefix, &h); err != nil {
					return err
				}
			}
			return nil
		})
	}
	l.send = func(h *tarstream.Header) error {
		select {
		case jobs <- *h:
			return nil
		case <-inner.Done():
			return context.Cause(inner)
		}
	}
	// pg_control waits until everything else is there.
	wait := func() error {
		close(jobs)
		return group.Wait()
	}
	l.hold = true
	if err := files.List(inner, l); err != nil {
		if failed := wait(); failed != nil {
			return failed // what ended the listing
		}
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	if l.control != nil {
		return l.w.file(ctx, l.prefix, l.control)
	}
	return nil
}

// lister sends the files of a directory to who reads them, and passes everything
// else on itself.
type lister struct {
	ctx     context.Context
	prefix  string
	w       *worker // for what comes in order
	send    func(h *tarstream.Header) error
	hold    bool // pg_control
	control *tarstream.Header
}

func (l *lister) Member(h *tarstream.Header) error {
	switch {
	case h.Type == tarstream.Directory || h.Type == tarstream.Symlink:
		if err := l.w.out.v.Member(h); err != nil {
			return err
		}
		return l.w.out.v.EndMember()
	case l.prefix+h.Name == backupset.LabelName:
		return l.w.label(l.ctx, h)
	case l.prefix+h.Name == backupset.ControlName && l.hold:
		held := *h
		l.control = &held
		return nil
	}
	return l.send(h)
}

func (l *lister) Content([]byte) error { return nil }
func (l *lister) EndMember() error     { return nil }

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

// reconstruct puts together what an incremental file of the newest backup is
// for.
func (w *worker) reconstruct(ctx context.Context, prefix, target string, h *tarstream.Header) (err error) {
	defer func() {
		for _, l := range w.layers {
			l.f.Close()
		}
		w.layers = w.layers[:0]
	}()
	for i := len(w.backups) - 1; ; i-- {
		b := w.backups[i]
		whole, found, err := w.find(b, target)
		if err != nil {
			return err
		}
		if whole {
			if b == w.last() {
				found.f.Close()
				return bothError(b, target)
			}
			return w.compose(ctx, b, found, target, prefix, h)
		}
		if i == 0 {
			found.f.Close()
			return fullError(b, incremental.Name(target))
		}
		w.layers = append(w.layers, found)
		if err := w.addLayer(ctx, b, found, target); err != nil {
			return err
		}
	}
}

// find opens what a backup has of a file: the whole of it or an incremental one.
func (w *worker) find(b *backup, target string) (whole bool, l layer, err error) {
	name := incremental.Name(target)
	l, err = w.openLayer(b, target)
	switch {
	case err == nil:
		both, err := b.has(name)
		if err == nil && both {
			err = bothError(b, target)
		}
		if err != nil {
			l.f.Close()
		}
		return true, l, err
	case !errors.Is(err, fs.ErrNotExist):
		return false, l, err
	}
	l, err = w.openLayer(b, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = missingError(b, target)
	}
	return false, l, err
}

// addLayer adds an incremental file to the plan and compares it with the
// manifest.
func (w *worker) addLayer(ctx context.Context, b *backup, l layer, target string) error {
	keep := &keeper{}
	name := incremental.Name(target)
	d := incremental.NewDecoder(w.layout, name, l.info.Size(), keep)
	sums := w.sums[b.number]
	err := w.read(ctx, l, sums, func(p []byte) error {
		_, err := d.Write(p)
		if err == nil && keep.h != nil && !sums.needed() {
			err = errEnough
		}
		return err
	})
	if err == nil {
		err = d.Close()
	}
	if err != nil && err != errEnough {
		return inBackup(b, err)
	}
	if err := sums.end(name, l.info.Size()); err != nil {
		return err
	}
	if b == w.last() {
		w.plan.begin(keep.h)
	}
	// The number of the source is that of the layer, whether the plan has
	// blocks of it or not.
	for len(w.plan.sources) < len(w.layers)-1 {
		w.plan.sources = append(w.plan.sources, source{})
	}
	w.indexes = w.plan.wanted(keep.h, w.indexes)
	start := w.layout.HeaderSize(len(keep.h.Blocks))
	w.plan.add(keep.h, w.indexes, w.layout.BlockSize, source{}, func(index, _ int) int64 {
		return start + int64(index)*int64(w.layout.BlockSize)
	})
	return nil
}

var errEnough = errors.New("enough was read")

// keeper keeps the header of an incremental file.
type keeper struct{ h *incremental.Header }

func (k *keeper) Header(h *incremental.Header) error { k.h = h; return nil }
func (k *keeper) Data(int64, []byte) error           { return nil }

// compose passes on a file whose whole version is in backup b.
func (w *worker) compose(ctx context.Context, b *backup, l layer, target, prefix string, h *tarstream.Header) error {
	defer l.f.Close()
	member := *h
	member.Name = target[len(prefix):]
	if w.plan.unchanged(l.info.Size(), w.layout.BlockSize) {
		return w.whole(ctx, b, l, target, &member)
	}
	member.Size = int64(w.plan.length) * int64(w.layout.BlockSize)
	if err := w.out.begin(&member, false); err != nil {
		return err
	}
	w.composer.begin(&w.plan, l.info.Size())
	sums := w.sums[b.number]
	err := w.read(ctx, l, sums, func(p []byte) error { return w.composer.write(p, true) })
	if err != nil {
		return err
	}
	if err := sums.end(target, l.info.Size()); err != nil {
		return err
	}
	if err := w.composer.end(); err != nil {
		return err
	}
	for _, layer := range w.layers {
		if err := layer.unchanged(); err != nil {
			return err
		}
	}
	return w.out.end(nil)
}

// unchanged sees that a file is what it was when it was opened.
func (l *layer) unchanged() error {
	info, err := l.f.Stat()
	if err != nil {
		return fmt.Errorf("could not stat file %q: %w", l.path, err)
	}
	return sameFile(l.path, l.info.Size(), l.info.ModTime(), info)
}

func sameFile(path string, size int64, modified time.Time, now fs.FileInfo) error {
	if now.Size() != size || !now.ModTime().Equal(modified) {
		return fmt.Errorf("file %q changed while it was read", path)
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
