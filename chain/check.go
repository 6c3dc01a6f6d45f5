package chain

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// CheckError says that the backups are no chain. The messages are
// pg_combinebackup's where it has one, with its order of checks.
type CheckError struct {
	Message string
	// Order are the same backups in the order in which they are a chain; nil if
	// there is none.
	Order []string
}

func (e *CheckError) Error() string { return e.Message }

func failf(format string, args ...any) error {
	return &CheckError{Message: fmt.Sprintf(format, args...)}
}

// check sees that the backups follow one another. Nothing has been read yet.
func (c *Chain) check() error {
	for _, step := range []func() error{c.checkControls, c.checkVersions, c.checkLabels, c.checkManifests, c.checkTablespaces} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// checkControls compares what is known of the control files, as
// check_control_files does. Those in compressed tars are compared when they pass.
func (c *Chain) checkControls() error {
	for i := len(c.backups) - 1; i >= 0; i-- {
		b := c.backups[i]
		if b.head.Control == nil && b.set.Form == backupset.Plain {
			return failf("file %q does not exist", filepath.Join(b.path, backupset.ControlName))
		}
		if err := c.checkControl(b, b.head.Control); err != nil {
			return err
		}
	}
	newest := c.last().head.Control
	if newest == nil || newest.DataChecksumVersion == 0 {
		return nil
	}
	for _, b := range c.backups {
		if control := b.head.Control; control != nil && control.Complete && control.DataChecksumVersion != newest.DataChecksumVersion {
			c.warn("only some backups have checksums enabled",
				"Disable, and optionally reenable, checksums on the output directory to avoid failures.")
			break
		}
	}
	return nil
}

// checkControl compares a control file with what the newest backup says.
func (c *Chain) checkControl(b *backup, control *pgdata.Control) error {
	if control == nil {
		return nil
	}
	name := b.path + "/" + backupset.ControlName
	if want := c.last().head.SystemID; control.SystemID != want {
		return failf("%s: expected system identifier %d, but found %d", name, want, control.SystemID)
	}
	if newest := c.last().head.Control; newest != nil && newest.PGControlVersion != control.PGControlVersion {
		return failf("%s: unexpected control file version", name)
	}
	if !control.Complete {
		return nil
	}
	got := c.layout
	got.BlockSize, got.SegmentBlocks = int(control.BlockSize), int(control.RelSegSize)
	if b == c.last() && b.head.Control == control && validLayout(control) {
		c.layout = got
	} else if got != c.layout {
		return failf("%s: blocks have %d bytes and files %d blocks, but %d and %d were expected",
			name, got.BlockSize, got.SegmentBlocks, c.layout.BlockSize, c.layout.SegmentBlocks)
	}
	return nil
}

// validLayout tells sizes that a server can be built with.
func validLayout(control *pgdata.Control) bool {
	b := control.BlockSize
	return b >= 1<<10 && b <= 32<<10 && b&(b-1) == 0 && control.RelSegSize > 0 && uint64(control.RelSegSize)*uint64(b) <= 1<<40
}

func (c *Chain) checkVersions() error {
	newest := c.last()
	for _, b := range c.backups {
		if v := b.head.Version; v != 0 && newest.head.Version != 0 && v != newest.head.Version {
			return failf("backup at %q is of version %s, but that at %q is of version %s", b.path, v, newest.path, newest.head.Version)
		}
	}
	return nil
}

// checkLabels is check_backup_label_files.
func (c *Chain) checkLabels() error {
	var wantTLI uint32
	var want lsn.LSN
	for i := len(c.backups) - 1; i >= 0; i-- {
		b := c.backups[i]
		label := b.head.Label
		if label == nil {
			return failf("backup at %q has no file %q", b.path, backupset.LabelName)
		}
		var problem string
		switch {
		case i > 0 && !label.Incremental():
			problem = "is a full backup, but only the first backup should be a full backup"
		case i == 0 && label.Incremental():
			problem = "is an incremental backup, but the first backup should be a full backup"
		case i < len(c.backups)-1 && label.StartTimeline != wantTLI:
			problem = fmt.Sprintf("starts on timeline %d, but expected %d", label.StartTimeline, wantTLI)
		case i < len(c.backups)-1 && label.Start != want:
			problem = fmt.Sprintf("starts at LSN %v, but expected %v", label.Start, want)
		}
		if problem != "" {
			return &CheckError{fmt.Sprintf("backup at \"%s\" %s", b.path, problem), c.order()}
		}
		wantTLI, want = label.IncrementalFromTLI, label.IncrementalFromLSN
	}
	return nil
}

// order finds the order in which the backups are a chain, nil if there is none
// or they are in it.
func (c *Chain) order() []string {
	var paths []string
	at, tli := lsn.LSN(0), uint32(0)
	left := append([]*backup(nil), c.backups...)
	for len(left) > 0 {
		found := -1
		for i, b := range left {
			if l := b.head.Label; l != nil && l.IncrementalFromLSN == at && l.IncrementalFromTLI == tli {
				found = i
				break
			}
		}
		if found < 0 {
			return nil
		}
		b := left[found]
		at, tli = b.head.Label.Start, b.head.Label.StartTimeline
		paths = append(paths, b.path)
		left = append(left[:found], left[found+1:]...)
	}
	return paths
}

// checkManifests looks at what each manifest says as a whole, and makes the
// ledgers that files are compared by.
func (c *Chain) checkManifests() error {
	for _, b := range c.backups {
		m := b.head.Manifest
		switch {
		case b.head.StaleManifest:
			c.warn(fmt.Sprintf("file \"%s/%s\" is the manifest of another backup and is not used", b.path, backupset.ManifestName), "")
			continue
		case m == nil:
			c.warn(fmt.Sprintf("file \"%s/%s\" does not exist", b.path, backupset.ManifestName), "")
			continue
		case m.Version == 1:
			return failf("backup manifest version 1 does not support incremental backup")
		}
		if !c.o.NoVerify {
			b.ledger = manifest.NewLedger(c.o.TempDir, m.Checksums)
		}
	}
	for _, b := range c.backups {
		m, want := b.head.Manifest, c.last().head.SystemID
		if m != nil && m.SystemID != want {
			return failf("%s/%s: manifest system identifier is %d, but control file has %d", b.path, backupset.ControlName, m.SystemID, want)
		}
	}
	return nil
}

// checkTablespaces sees that the newest backup brings all of its tablespaces.
func (c *Chain) checkTablespaces() error {
	for _, t := range c.last().head.Tablespaces {
		if t.Where == backupset.Nowhere {
			return failf("tablespace %d (%q) is not in the backup at %q: it %s", t.OID, t.Location, c.last().path, t.Reason)
		}
	}
	return nil
}

// stripLabel drops the lines that make a backup_label that of an incremental
// backup.
func stripLabel(label []byte) []byte {
	var b strings.Builder
	for line := range strings.Lines(string(label)) {
		if !strings.HasPrefix(line, "INCREMENTAL FROM LSN: ") && !strings.HasPrefix(line, "INCREMENTAL FROM TLI: ") {
			b.WriteString(line)
		}
	}
	return []byte(b.String())
}
