package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/tarstream"
)

const serverConf = "postgresql.conf"

// dataDirectory is the visitor for the archive of the data directory. It leaves
// out what does not belong to the cluster, holds back what is written at the
// end, and sends everything else where it goes.
type dataDirectory struct {
	r        *run
	byHand   bool // not made by a server: it has the logs of the one that was copied
	capture  *capture
	autoConf *capture
	out      *tarstream.Extractor

	record tarstream.Visitor // notes every file for the comparison with the manifest
	write  tarstream.Visitor // brings it to the disk

	// A manifest among the members, as a single tar has it; else nil.
	manifest     *os.File
	manifestName string // in the data directory
	// What happens to the current member.
	recorded, isManifest bool
	to                   tarstream.Visitor

	links map[uint32]bool // tablespaces whose link the archive has
	files map[uint32]bool // tablespaces of which the archive itself has files
}

func newDataDirectory(r *run) *dataDirectory {
	d := &dataDirectory{r: r, links: map[uint32]bool{}, files: map[uint32]bool{}}
	h := r.p.head
	d.byHand = h.ByHand || h.Label != nil && h.Label.Method != "streamed"
	return d
}

// read restores the archive.
func (d *dataDirectory) read(ctx context.Context, a *backupset.Archive) error {
	if err := d.r.p.read(ctx, a, d); err != nil {
		return err
	}
	if d.out == nil {
		return fmt.Errorf("backup %q is empty", d.r.p.Backup)
	}
	return d.out.Close()
}

func (d *dataDirectory) close() {
	if d.out != nil {
		d.out.Close()
	}
	if d.manifest != nil {
		d.manifest.Close()
	}
}

// open makes what the members go through, when the first of them tells the
// modes.
func (d *dataDirectory) open(first *tarstream.Header) error {
	r, p := d.r, d.r.p
	if err := r.setModes(first.Mode); err != nil {
		return err
	}
	mounts := map[string]string{}
	if p.WALDir != "" {
		mounts["pg_wal"], mounts["pg_xlog"] = p.WALDir, p.WALDir
	}
	for _, t := range p.Tablespaces {
		if t.archive == nil && !t.InPlace {
			mounts[backupset.TablespaceDir+"/"+strconv.FormatUint(uint64(t.OID), 10)] = t.Path
		}
	}
	if p.set.Archive(backupset.WAL, 0) != nil {
		// Its files may arrive before the directories' own entries.
		if err := d.makeWALDirectory("pg_wal"); err != nil {
			return err
		}
		if err := r.makeDirectory("pg_wal/archive_status"); err != nil {
			return err
		}
	}
	for _, t := range p.Tablespaces {
		if t.InPlace && t.archive != nil {
			if err := claim.MakeBelow(r.root(), tablespaceName(t.OID), r.dirMode); err != nil {
				return err
			}
		}
	}
	close(r.ready)
	var err error
	d.out, err = tarstream.NewExtractor(tarstream.ExtractOptions{
		Dir: p.DataDir, Open: r.dirs.Open, Mounts: mounts, Link: d.link, Exists: d.exists,
		DirMode: r.dirMode, FileMode: r.fileMode,
		Writeback: r.o.Sync == durable.Syncfs, Sync: r.syncsFiles(), Concurrent: r.jobs() > 1,
	})
	if err != nil {
		return err
	}
	d.capture = newCapture(tarstream.Rename(d.out, backupset.ControlName, heldControl),
		backupset.VersionName, backupset.LabelName, backupset.ControlName, serverConf)
	d.autoConf = newCapture(nothing{}, recoveryconf.AutoConf)
	d.write = r.meter.visitor(p.DataDir, d.capture)
	d.record = r.recording("")
	return nil
}

// Member implements tarstream.Visitor.
func (d *dataDirectory) Member(h *tarstream.Header) error {
	if d.out == nil {
		if err := d.open(h); err != nil {
			return err
		}
	}
	d.recorded, d.to, d.isManifest = true, d.write, false
	switch name := h.Name; {
	case name == backupset.ManifestName && h.Type == tarstream.Regular:
		d.recorded, d.to = false, nothing{}
		return d.beginManifest()
	case name == recoveryconf.AutoConf:
		d.to = d.autoConf // it is written at the end, with what is added to it
	case name == backupset.TablespaceMapName || stale(name, d.byHand):
		d.to = nothing{}
	case h.Type != tarstream.Regular && (name == "pg_wal" || name == "pg_xlog"):
		// A link leads to where the server has its WAL, or had.
		if err := d.makeWALDirectory(name); err != nil {
			return err
		}
		d.recorded, d.to = false, nothing{}
	default:
		if err := d.tablespaceMember(h); err != nil {
			return err
		}
	}
	if d.recorded {
		if err := d.record.Member(h); err != nil {
			return err
		}
	}
	return d.to.Member(h)
}

// Content implements tarstream.Visitor.
func (d *dataDirectory) Content(b []byte) error {
	if d.isManifest {
		_, err := d.manifest.Write(b)
		return err
	}
	if d.recorded {
		if err := d.record.Content(b); err != nil {
			return err
		}
	}
	return d.to.Content(b)
}

// EndMember implements tarstream.Visitor.
func (d *dataDirectory) EndMember() error {
	if d.recorded {
		if err := d.record.EndMember(); err != nil {
			return err
		}
	}
	return d.to.EndMember()
}

// nothing is where goes what is not restored.
type nothing struct{}

func (nothing) Member(*tarstream.Header) error { return nil }
func (nothing) Content([]byte) error           { return nil }
func (nothing) EndMember() error               { return nil }

// beginManifest puts the manifest aside: it is compared at the end, and a data
// directory is no backup.
func (d *dataDirectory) beginManifest() error {
	p := d.r.p
	if p.o.NoVerify || p.head.StaleManifest {
		return nil
	}
	if d.manifest != nil {
		return fmt.Errorf("file %q is in the backup twice", backupset.ManifestName)
	}
	var err error
	d.manifest, d.manifestName, err = durable.CreateTemp(d.r.root(), ".pgbasin-manifest-")
	if err != nil {
		return err
	}
	d.isManifest = true
	return nil
}

// makeWALDirectory makes the directory of the WAL, or the link to the one that
// was asked for. It may be there already.
func (d *dataDirectory) makeWALDirectory(name string) error {
	if dir := d.r.p.WALDir; dir != "" {
		return d.symlink(dir, name)
	}
	return claim.MakeBelow(d.r.root(), name, d.r.dirMode)
}

// symlink makes a link in the data directory. It may be there already, but no other
// one of its name.
func (d *dataDirectory) symlink(target, name string) error {
	root := d.r.root()
	err := root.Symlink(target, name)
	if errors.Is(err, fs.ErrExist) {
		there, readErr := root.Readlink(name)
		if readErr == nil && filepath.Clean(there) == filepath.Clean(target) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", filepath.Join(d.r.p.DataDir, name), err)
	}
	return nil
}

// exists names the directories that may be there before the archive's own entry
// comes.
func (d *dataDirectory) exists(name string) bool {
	switch name {
	case "pg_wal", "pg_wal/archive_status", "pg_wal/summaries", "pg_xlog", backupset.TablespaceDir:
		return true
	}
	for _, t := range d.r.p.Tablespaces {
		if t.InPlace && name == tablespaceName(t.OID) {
			return true
		}
	}
	return false
}

func tablespaceName(oid uint32) string {
	return backupset.TablespaceDir + "/" + strconv.FormatUint(uint64(oid), 10)
}

// tablespaceMember looks at a member below pg_tblspc: its tablespace must have
// a place.
func (d *dataDirectory) tablespaceMember(h *tarstream.Header) error {
	below, ok := strings.CutPrefix(h.Name, backupset.TablespaceDir+"/")
	if !ok {
		return nil
	}
	digits, rest, _ := strings.Cut(below, "/")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || h.Type == tarstream.Symlink {
		return nil // link decides
	}
	t := d.r.p.tablespace(uint32(n))
	if t == nil {
		return fmt.Errorf("tablespace %d comes late in the archive: restore from a file instead of standard input, so that its place is known before", n)
	}
	if rest != "" || t.InPlace {
		d.files[t.OID] = true
	}
	if rest == "" && !t.InPlace {
		// The archive has the files and not the link that must be there.
		return d.makeLink(t)
	}
	return nil
}

func (d *dataDirectory) makeLink(t *Tablespace) error {
	if err := claim.MakeBelow(d.r.root(), backupset.TablespaceDir, d.r.dirMode); err != nil {
		return err
	}
	return d.symlink(t.Path, tablespaceName(t.OID))
}

// link maps the target of a symbolic link of the archive.
func (d *dataDirectory) link(name, location string) (string, error) {
	digits, ok := strings.CutPrefix(name, backupset.TablespaceDir+"/")
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil {
		return "", fmt.Errorf("link %q leads to %q, and only tablespaces may be links", name, location)
	}
	t := d.r.p.tablespace(uint32(n))
	switch {
	case t == nil:
		return "", &MissingTablespaceError{uint32(n), location, "there is only the link to it"}
	case t.InPlace:
		return "", fmt.Errorf("link %q leads to %q, but the backup has no location for this tablespace", name, location)
	}
	d.links[t.OID] = true
	return t.Path, nil
}
