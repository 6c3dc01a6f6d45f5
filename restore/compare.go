package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// comparison holds the files that were read against the backup's manifest.
type comparison struct {
	set *backupset.Set
	// manifest is a copy of one that came among the members; nil = none did.
	manifest *os.File
	start    lsn.LSN // of the backup
	warn     func(message string)

	recorder     *manifest.Recorder
	alternatives []*manifest.Recorder // the same with other checksums
	ledgers      []*manifest.Ledger
}

// checksums are those that a backup's manifest has. A single tar has its manifest
// at the end: which checksums it holds is not known before.
func checksums(h *backupset.Head) []manifest.ChecksumAlgorithm {
	if h.Manifest != nil {
		return []manifest.ChecksumAlgorithm{h.Manifest.Checksums}
	}
	return []manifest.ChecksumAlgorithm{manifest.DefaultChecksumAlgorithm, manifest.SHA256}
}

// open makes the ledgers, whose temporary files go to dir. Without checksums
// files are counted only.
func (c *comparison) open(dir string, algorithms []manifest.ChecksumAlgorithm) {
	for _, a := range algorithms {
		c.ledgers = append(c.ledgers, manifest.NewLedger(dir, a))
	}
	var first *manifest.Ledger
	if len(c.ledgers) > 0 {
		first = c.ledgers[0]
	}
	c.recorder = manifest.NewRecorder(first)
	for _, l := range c.ledgers[min(1, len(c.ledgers)):] {
		c.alternatives = append(c.alternatives, manifest.NewRecorder(l))
	}
}

func (c *comparison) close() {
	for _, l := range c.ledgers {
		l.Close()
	}
}

// recording notes the files of an archive, which the manifest lists below
// prefix.
func (c *comparison) recording(prefix string) tarstream.Visitor {
	v := c.recorder.Archive(prefix)
	for _, other := range c.alternatives {
		v = tarstream.Tee(v, other.Archive(prefix))
	}
	return v
}

// compare compares what came with those files of the manifest that selected
// tells; nil is all. It returns the manifest, read to its end, or nil if the
// backup has none of its own.
func (c *comparison) compare(selected func(path string) bool) (*manifest.Reader, error) {
	ledger, err := c.chooseLedger()
	if err != nil || ledger == nil {
		return nil, err
	}
	src, err := c.openManifest()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	m := manifest.NewReader(src)
	m.Select(selected)
	err = manifest.Disregard(ledger.Verify(m), uncovered)
	if err != nil {
		var problems *manifest.VerifyErrors
		if errors.As(err, &problems) {
			return nil, fmt.Errorf("the backup is not what its manifest says: %w", err)
		}
		return nil, &ManifestError{"could not use the backup's manifest", err}
	}
	return m, nil
}

// openManifest opens the manifest, from its beginning each time.
func (c *comparison) openManifest() (io.ReadCloser, error) {
	if f := c.manifest; f != nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return io.NopCloser(f), nil
	}
	return c.set.OpenManifest()
}

// chooseLedger returns the ledger for the manifest, nil if there is no manifest
// that is the backup's. That of a single tar is read for the checksums that it
// holds.
func (c *comparison) chooseLedger() (*manifest.Ledger, error) {
	src, err := c.openManifest()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if len(c.ledgers) == 1 {
		return c.ledgers[0], nil
	}
	m := manifest.NewReader(src)
	algorithm := manifest.None
	for m.Next() {
		if a := m.File().Algorithm; a != manifest.None {
			algorithm = a
		}
	}
	if m.Err() != nil {
		return c.ledgers[0], nil // to be told again
	}
	if !slices.ContainsFunc(m.WALRanges(), func(w manifest.WALRange) bool { return w.Start <= c.start && c.start < w.End }) {
		c.warn("the backup_manifest in the backup is that of an earlier backup and is not used")
		return nil, nil
	}
	for _, l := range c.ledgers {
		if l.Algorithm() == algorithm {
			return l, nil
		}
	}
	if algorithm == manifest.None {
		return c.ledgers[0], nil
	}
	return nil, &ManifestError{Reason: fmt.Sprintf("the manifest has %v checksums, and came after the files in a single tar, where only %v and %v are compared", algorithm, manifest.DefaultChecksumAlgorithm, manifest.SHA256)}
}
