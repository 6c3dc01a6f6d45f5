package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/tarstream"
)

// openLedgers makes what notes the files for the comparison.
func (r *run) openLedgers() {
	r.comparison = comparison{set: r.p.set, warn: r.p.warn}
	algorithms := checksums(r.p.head)
	if !r.p.Verify || r.p.chain != nil {
		algorithms = nil // a chain compares each backup with its own manifest
	}
	r.comparison.open(r.p.DataDir, algorithms)
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
	r.manifest, r.start = r.data.manifest, r.p.Start
	m, err := r.compare(nil)
	if err != nil || m == nil {
		return err
	}
	if id := m.SystemIdentifier(); id != 0 && r.systemID != 0 && id != r.systemID {
		return &ManifestError{Reason: fmt.Sprintf("manifest system identifier is %d, but control file has %d", id, r.systemID)}
	}
	r.verified = true
	return nil
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
