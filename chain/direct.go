package chain

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/tarstream"
)

// readSize is how much is read at once, in bytes.
const readSize = 256 << 10

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
