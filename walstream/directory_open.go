package walstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// OpenSegment implements Sink. With Partial it takes up a file that is there
// already.
func (d *Directory) OpenSegment(seg Segment) error {
	if err := d.failed(); err != nil {
		return err
	}
	if d.file != nil {
		return fmt.Errorf("could not open write-ahead log file %q: %q is still open", seg.Name, d.seg.Name)
	}
	if seg.Offset < 0 || seg.Offset >= seg.Size {
		return fmt.Errorf("could not open write-ahead log file %q: offset %d is not in a segment of %d bytes", seg.Name, seg.Offset, seg.Size)
	}
	var f *os.File
	err := d.patiently(func() (err error) {
		f, err = d.open(seg)
		return err
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.file = f
	if !d.o.Partial {
		d.dirs["."] = true
	}
	d.mu.Unlock()
	d.seg, d.at, d.writeback = seg, seg.Offset, seg.Offset
	return nil
}

func (d *Directory) open(seg Segment) (*os.File, error) {
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	name := d.fileName(seg.Name)
	var f *os.File
	switch {
	case seg.Offset > 0:
		f, err = durable.OpenWrite(root, name)
	case d.o.Partial:
		f, err = durable.OpenOrCreate(root, name, d.o.FileMode)
	default:
		f, err = durable.Create(root, name, d.o.FileMode)
	}
	if err != nil {
		return nil, openFailed(filepath.Join(d.o.Path, name), err)
	}
	if err := d.allocate(f, seg); err != nil {
		err = errors.Join(err, f.Close())
		if !d.o.Partial && seg.Offset == 0 {
			err = errors.Join(err, root.Remove(name))
		}
		return nil, err
	}
	return f, nil
}

// openFailed words an error of opening a segment as pg_receivewal does.
func openFailed(path string, err error) error {
	var failed *fs.PathError
	if !errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("could not open write-ahead log file %q: %w", path, failed)
}

// patiently does something that needs room, again if it finds none.
func (d *Directory) patiently(do func() error) error {
	for {
		err := do()
		if err == nil || d.o.Full == nil || d.failed() != nil || !NoRoom(err) || d.o.Full(err) != nil {
			return err
		}
	}
}

// allocate brings the file to full size.
func (d *Directory) allocate(f *os.File, seg Segment) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("could not get size of write-ahead log file %q: %w", f.Name(), err)
	}
	size := info.Size()
	switch {
	case size == seg.Size:
	case size > seg.Size || seg.Offset > 0:
		return fmt.Errorf("write-ahead log file %q has %d bytes, should be 0 or %d", f.Name(), size, seg.Size)
	default:
		// A shorter one was left when its making was interrupted, before
		// anything in it was acknowledged.
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("could not truncate file %q: %w", f.Name(), err)
		}
		preallocate := durable.Preallocate
		if d.o.ZeroFill {
			preallocate = zeroFill
		}
		if err := preallocate(f, seg.Size); err != nil {
			// Gives the space back, and lets a later attempt begin anew.
			return errors.Join(err, f.Truncate(0))
		}
	}
	if d.o.NoSync || !d.o.Partial {
		return nil
	}
	// From here on Datasync suffices: neither the size nor the name changes
	// while the segment is written. What a file that existed holds is synced
	// too, in case of a crash before.
	err = f.Sync()
	if err != nil {
		err = d.fail(fmt.Errorf("could not fsync file %q: %w", f.Name(), err))
	} else {
		err = d.syncDir(".")
	}
	if err != nil && size < seg.Size {
		// A later run would take it up, and its next syncs for a promise.
		err = errors.Join(err, d.remove(filepath.Base(f.Name())))
	}
	return err
}

// zeroPiece is how much of a segment is filled with zeroes by one write, in bytes. Linux
// keeps what one write brought in one folio, if it can, and goes through all of that
// for every later write and sync of a part: commits that waited for these were 5 %
// slower with 1 MiB than with a WAL block (6.18, ext4).
const zeroPiece = 8 << 10

func zeroFill(f *os.File, size int64) error {
	zeroes := make([]byte, min(size, zeroPiece))
	for at := int64(0); at < size; {
		n, err := f.WriteAt(zeroes[:min(size-at, int64(len(zeroes)))], at)
		if err != nil {
			return fmt.Errorf("could not write to file %q: %w", f.Name(), err)
		}
		at += int64(n)
	}
	return nil
}

// remove removes a file of the archive.
func (d *Directory) remove(name string) error {
	root, err := d.root()
	if err == nil {
		err = root.Remove(name)
	}
	if err != nil {
		return fmt.Errorf("could not remove file %q: %w", filepath.Join(d.o.Path, name), err)
	}
	return nil
}
