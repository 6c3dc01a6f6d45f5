package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/tarstream"
)

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
	if incremental.VisibilityMap(target) {
		w.plan.blank()
	}
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
