package walstream

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// Sync implements Sink.
func (d *Directory) Sync() (bool, error) {
	if d.o.NoSync {
		return false, nil
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	err := d.err
	closed, open := d.closed, d.file
	d.closed = nil
	dirs := slices.Collect(maps.Keys(d.dirs))
	clear(d.dirs)
	d.mu.Unlock()

	for _, f := range closed {
		if err == nil {
			err = d.datasync(f)
		}
		if e := closeFile(f); err == nil {
			err = e
		}
	}
	if err == nil && open != nil {
		err = d.datasync(open)
	}
	for _, dir := range dirs {
		if err == nil {
			err = d.syncDir(dir)
		}
	}
	return err == nil, err
}

// rename gives a file whose content is durable its final name. When that cannot
// be made durable, the file has its old one again: a later run takes what has a
// final name for durable.
func (d *Directory) rename(from, to string) error {
	root, err := d.root()
	if err == nil {
		err = root.Rename(from, to)
	}
	if err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", filepath.Join(d.o.Path, from), filepath.Join(d.o.Path, to), err)
	}
	if d.o.NoSync {
		return nil
	}
	if err = d.syncDir("."); err != nil {
		err = errors.Join(err, root.Rename(to, from))
	}
	return err
}

func (d *Directory) datasync(f *os.File) error {
	begin := time.Now()
	if err := durable.Datasync(f); err != nil {
		return d.fail(fmt.Errorf("could not fsync file %q: %w", f.Name(), err))
	}
	if d.o.Synced != nil {
		d.o.Synced(time.Since(begin))
	}
	return nil
}

// syncDir makes the entries of a directory durable.
func (d *Directory) syncDir(name string) error {
	root, err := d.root()
	if err != nil {
		return err
	}
	return d.fail(durable.SyncDirIn(root, name))
}

// fail keeps the error of a sync, if it is one, for good.
func (d *Directory) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.err == nil {
		d.err = err
	}
	return err
}

func (d *Directory) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}
