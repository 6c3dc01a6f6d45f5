package walstream

import (
	"errors"
	"fmt"
	"os"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// Write implements Sink.
func (d *Directory) Write(p []byte) (int, error) {
	if d.file == nil {
		return 0, errors.New("could not write WAL: no segment is open")
	}
	if int64(len(p)) > d.seg.Size-d.at {
		return 0, fmt.Errorf("could not write %d bytes to WAL file %q: beyond its size of %d bytes", len(p), d.file.Name(), d.seg.Size)
	}
	start := d.at
	err := d.patiently(func() error {
		n, err := d.file.WriteAt(p[d.at-start:], d.at)
		d.at += int64(n)
		if err != nil {
			err = fmt.Errorf("could not write %d bytes to WAL file %q: %w", len(p), d.file.Name(), err)
		}
		return err
	})
	n := int(d.at - start)
	if err != nil {
		return n, err
	}
	if !d.o.NoSync && d.at-d.writeback >= writebackStep {
		durable.StartWriteback(d.file, d.writeback, d.at-d.writeback)
		d.writeback = d.at
	}
	return n, nil
}

// CloseSegment implements Sink.
func (d *Directory) CloseSegment() error {
	if d.file == nil {
		return errors.New("could not close WAL file: no segment is open")
	}
	if d.o.Partial {
		return d.closePartial()
	}
	// At most one segment waits for its sync while the next is written.
	d.mu.Lock()
	waiting := len(d.closed) > 0
	d.mu.Unlock()
	if waiting {
		if _, err := d.Sync(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	f := d.file
	d.file = nil
	if !d.o.NoSync {
		d.closed = append(d.closed, f)
	}
	d.mu.Unlock()
	if d.o.NoSync {
		return closeFile(f)
	}
	return nil
}

// closePartial makes the segment durable, and then gives it its final name if it is whole.
func (d *Directory) closePartial() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	f := d.file
	d.file = nil
	d.mu.Unlock()

	err := d.failed()
	if err == nil && !d.o.NoSync {
		err = d.datasync(f)
	}
	if err := errors.Join(err, closeFile(f)); err != nil {
		return err
	}
	if d.at < d.seg.Size {
		return nil
	}
	return d.rename(d.fileName(d.seg.Name), d.seg.Name)
}

func closeFile(f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", f.Name(), err)
	}
	return nil
}
