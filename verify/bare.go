package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/wal"
)

// ErrNoManifest is the error when there is no manifest and nothing else could be
// checked.
var ErrNoManifest = errors.New("the backup has no manifest, and neither WAL nor page checksums could be checked")

// withoutManifest settles how to go on when the manifest could not be opened
// because of err.
func (v *verifier) withoutManifest(err error) error {
	if !v.o.WithoutManifest || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// What is not there at all has no manifest either.
	if info, statErr := os.Stat(v.dir); statErr != nil || !info.IsDir() {
		return err
	}
	v.report.NoManifest = true
	if v.o.NoParseWAL && !v.o.PageChecksums {
		return ErrNoManifest
	}
	return nil
}

// readLabelFile reads the label of a backup in plain format.
func (v *verifier) readLabelFile() error {
	info, err := os.Stat(v.dir + "/" + pgdata.LabelFile)
	if err != nil || !info.Mode().IsRegular() {
		return nil // labelRange tells that there is none
	}
	f, err := os.Open(v.dir + "/" + pgdata.LabelFile)
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxKept))
	if err == nil {
		v.readLabel(content)
	}
	return err
}

// readLabel takes over what the backup's backup_label says.
func (v *verifier) readLabel(content []byte) {
	label, err := pgdata.ParseBackupLabel(content)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.label, v.labelErr = label, err
	if v.pages != nil && label != nil {
		v.pages.setStart(label.Start)
	}
}

// labelRange is the WAL that a backup without a manifest needs: from the start
// point that its backup_label names to the record that ends the backup, which has
// to be found. In a backup of a standby there is none; there the control file
// says where the data is consistent. src may be nil if there is no WAL.
func (v *verifier) labelRange(ctx context.Context, src wal.Source) (manifest.WALRange, error) {
	if v.label == nil {
		err := v.labelErr
		if err == nil {
			err = fmt.Errorf("\"%s\" is missing", pgdata.LabelFile)
		}
		return manifest.WALRange{}, fmt.Errorf("start of the backup's WAL is not known: %w", err)
	}
	r := manifest.WALRange{Timeline: v.label.StartTimeline, Start: v.label.Start}
	if src == nil {
		return r, nil
	}
	if v.label.From == "standby" {
		if v.control == nil || v.control.MinRecoveryPoint < r.Start {
			return r, errors.New("end of the backup's WAL is not known: the backup is that of a standby, and its control file does not tell")
		}
		r.End = v.control.MinRecoveryPoint
		return r, nil
	}
	var err error
	r.End, err = findBackupEnd(ctx, src, v.walOptions(r))
	return r, err
}

// findBackupEnd returns where the record ends that ends the backup which began at
// o.Start.
func findBackupEnd(ctx context.Context, src wal.Source, o wal.ReaderOptions) (lsn.LSN, error) {
	r := wal.NewReader(src, o)
	defer r.Close()
	for n := 0; r.Next(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if start, ok := r.Record().BackupEnd(); ok && start == o.Start {
			return r.Record().Next, nil
		}
	}
	if d := r.Detail(); d != nil {
		return r.EndLSN(), fmt.Errorf("end of the backup was not found: %w", d)
	}
	return r.EndLSN(), errors.New("end of the backup was not found in its WAL")
}
