package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/tarstream"
)

// openLedgers makes the ledger for the manifest's checksums. A single tar has
// its manifest at the end: which checksums it holds is not known before.
func (r *run) openLedgers() {
	algorithms := []manifest.ChecksumAlgorithm{manifest.DefaultChecksumAlgorithm, manifest.SHA256}
	if m := r.p.head.Manifest; m != nil {
		algorithms = []manifest.ChecksumAlgorithm{m.Checksums}
	}
	if !r.p.Verify || r.p.chain != nil {
		algorithms = nil // a chain compares each backup with its own manifest
	}
	for _, a := range algorithms {
		r.ledgers = append(r.ledgers, manifest.NewLedger(r.p.DataDir, a))
	}
	var first *manifest.Ledger
	if len(r.ledgers) > 0 {
		first = r.ledgers[0]
	}
	r.recorder = manifest.NewRecorder(first)
	for _, l := range r.ledgers[min(1, len(r.ledgers)):] {
		r.alternatives = append(r.alternatives, manifest.NewRecorder(l))
	}
}

// recording notes the files of an archive, which the manifest lists below
// prefix.
func (r *run) recording(prefix string) tarstream.Visitor {
	v := r.recorder.Archive(prefix)
	for _, other := range r.alternatives {
		v = tarstream.Tee(v, other.Archive(prefix))
	}
	return v
}

// counting counts the files of an archive that no manifest lists.
func (r *run) counting() tarstream.Visitor { return r.unlisted.Archive("") }

// ManifestError says that the manifest cannot be used.
type ManifestError struct {
	Reason string
	Err    error // may be nil
}

func (e *ManifestError) Error() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

// Unwrap returns what is wrong with the manifest.
func (e *ManifestError) Unwrap() error { return e.Err }

// verify compares what came with the manifest.
func (r *run) verify(ctx context.Context) error {
	if !r.p.Verify {
		return nil
	}
	if r.p.chain != nil {
		err := r.p.chain.Verify(ctx)
		r.verified = err == nil
		return err
	}
	ledger, err := r.chooseLedger()
	if err != nil || ledger == nil {
		return err
	}
	src, err := r.openManifest()
	if err != nil {
		return err
	}
	defer src.Close()
	m := manifest.NewReader(src)
	err = manifest.Disregard(ledger.Verify(m), uncovered)
	if err != nil {
		var problems *manifest.VerifyErrors
		if errors.As(err, &problems) {
			return fmt.Errorf("the backup is not what its manifest says: %w", err)
		}
		return &ManifestError{"could not use the backup's manifest", err}
	}
	if id := m.SystemIdentifier(); id != 0 && r.systemID != 0 && id != r.systemID {
		return &ManifestError{Reason: fmt.Sprintf("manifest system identifier is %d, but control file has %d", id, r.systemID)}
	}
	r.verified = true
	return nil
}

// openManifest opens the manifest, from its beginning each time.
func (r *run) openManifest() (io.ReadCloser, error) {
	if f := r.data.manifest; f != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return io.NopCloser(f), nil
	}
	return r.p.set.OpenManifest()
}

// chooseLedger returns the ledger for the manifest, nil if there is no manifest
// that is the backup's. That of a single tar is read for the checksums that it
// holds.
func (r *run) chooseLedger() (*manifest.Ledger, error) {
	src, err := r.openManifest()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if len(r.ledgers) == 1 {
		return r.ledgers[0], nil
	}
	m := manifest.NewReader(src)
	algorithm := manifest.None
	for m.Next() {
		if a := m.File().Algorithm; a != manifest.None {
			algorithm = a
		}
	}
	if m.Err() != nil {
		return r.ledgers[0], nil // to be told again
	}
	if !slices.ContainsFunc(m.WALRanges(), func(w manifest.WALRange) bool { return w.Start <= r.p.Start && r.p.Start < w.End }) {
		r.p.warn("the backup_manifest in the backup is that of an earlier backup and is not used")
		return nil, nil
	}
	for _, l := range r.ledgers {
		if l.Algorithm() == algorithm {
			return l, nil
		}
	}
	if algorithm == manifest.None {
		return r.ledgers[0], nil
	}
	return nil, &ManifestError{Reason: fmt.Sprintf("the manifest has %v checksums, and came after the files in a single tar, where only %v and %v are compared", algorithm, manifest.DefaultChecksumAlgorithm, manifest.SHA256)}
}

// uncovered tells whether a file is not the server's alone: a backup may have been
// given a recovery configuration (pg_verifybackup.c, ignore list).
func uncovered(path string) bool {
	switch path {
	case recoveryconf.AutoConf, recoveryconf.RecoverySignal, recoveryconf.StandbySignal, backupset.ManifestName:
		return true
	}
	return strings.HasPrefix(path, "pg_wal/")
}

// removeManifest takes the copy of a manifest away again.
func (d *dataDirectory) removeManifest() error {
	if d.manifest == nil {
		return nil
	}
	err := errors.Join(d.manifest.Close(), d.r.root().Remove(d.manifestName))
	d.manifest = nil
	return err
}
