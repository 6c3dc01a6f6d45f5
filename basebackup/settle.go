package basebackup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/replproto"
)

// receivedManifest holds the server's manifest of an attempt that builds on others.
const receivedManifest = "backup_manifest.received.tmp"

// settle makes a full backup of what the server has sent and what was there.
func (k *keeper) settle() error {
	if err := k.sums.wait(); err != nil {
		return err
	}
	if err := k.checkStop(); err != nil {
		return err
	}
	if err := k.removeGone(); err != nil {
		return err
	}
	return k.writeManifest()
}

// removeGone removes the files and directories that the server has not any more.
func (k *keeper) removeGone() error {
	var gone []string
	k.stock.each(func(f *kept) error {
		if !f.come {
			gone = append(gone, f.path)
		}
		return nil
	})
	for _, path := range gone {
		if err := k.forget(path); err != nil {
			return err
		}
		if err := k.roots.remove(path); err != nil {
			return fmt.Errorf("could not remove file: %w", err)
		}
	}
	for dir, left := range k.dirs {
		var names []string
		for name, unseen := range left {
			if unseen {
				names = append(names, name)
			}
		}
		// What is below another one comes first.
		slices.Sort(names)
		slices.Reverse(names)
		for _, name := range names {
			if err := k.directory.dirs.Root(dir).Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("could not remove directory %q: %w", filepath.Join(dir, name), err)
			}
		}
	}
	return nil
}

// writeManifest writes the backup's manifest: the server's, in which a file that came as
// an incremental one is as it has become here.
func (k *keeper) writeManifest() (err error) {
	path := filepath.Join(k.directory.o.Path, receivedManifest)
	in, err := k.root().Open(receivedManifest)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, err)
	}
	defer in.Close()
	out, err := createManifest(k.root(), k.s.fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("could not close file %q: %w", replproto.ManifestName, closeErr)
		}
	}()
	r, w := manifest.NewReader(in), manifest.NewWriter(out, k.server.systemID)
	for r.Next() {
		f, err := k.listed(r.File())
		if err == nil {
			err = w.Add(f)
		}
		if err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if err := w.Close(r.WALRanges()); err != nil {
		return err
	}
	return k.root().Remove(receivedManifest)
}

// listed is what the backup's manifest says of a file that the server's lists.
func (k *keeper) listed(f manifest.File) (manifest.File, error) {
	target, ok := incremental.Target(f.Path)
	switch {
	case f.Path == pgdata.LabelFile:
		label := k.label
		label.ModTime = f.ModTime
		return label, nil
	case !ok:
		return f, nil
	}
	kept := k.stock.get(target)
	if kept == nil || !kept.come {
		return f, fmt.Errorf("the manifest lists %q, which has not come", f.Path)
	}
	return manifest.File{
		Path: target, Size: kept.size, ModTime: f.ModTime, Algorithm: k.server.algorithm, Checksum: kept.checksum,
	}, nil
}

// syncData makes the entries of the data directory durable.
func (k *keeper) syncData() error {
	if k.directory.o.Sync == durable.NoSync {
		return nil
	}
	return durable.SyncDirIn(k.root(), ".")
}
