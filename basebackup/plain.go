package basebackup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/walstream"
)

// PlainOptions say where a plain format backup goes.
type PlainOptions struct {
	// Path becomes the data directory. It is made, or must be empty.
	Path string
	// WALDir, an absolute path, holds the WAL instead of pg_wal, which becomes
	// a link to it. It is made, or must be empty.
	WALDir string
	// Tablespaces move tablespaces that the server has at Old to New. The
	// others go to the same absolute path as on the server.
	Tablespaces []TablespaceMapping
	Sync        durable.SyncMethod
	// NoClean leaves everything in place when the backup fails.
	NoClean bool
}

// TablespaceMapping moves a tablespace; both paths are absolute.
type TablespaceMapping struct{ Old, New string }

// Plain takes a backup as a data directory that a server can start on, with
// the tablespaces at their places.
func Plain(o PlainOptions) Destination { return &plain{o: o} }

const (
	controlFile = "global/pg_control"
	// A server does not start without pg_control. Until the backup is
	// complete and durable it therefore has another name.
	heldControlFile = controlFile + ".tmp"
	heldSuffix      = ".tmp"
)

type plain struct {
	o      PlainOptions
	s      *site
	dirs   claim.Set
	spaces []replproto.Tablespace
	// held are the directories of tablespaces that were taken by an earlier attempt.
	held map[string]bool
	// unsynced says that there are files of an earlier attempt, which nobody may
	// have synced, or which were changed in place.
	unsynced bool
	// beforeCommit is called when everything is durable, before anything gets its
	// final name. It may be nil.
	beforeCommit func() error
}

func (d *plain) plain() bool { return true }

func (d *plain) prepare(s *site) error {
	d.s = s
	if err := d.dirs.Take("data", d.o.Path, s.dirMode); err != nil {
		return err
	}
	if d.o.WALDir != "" {
		if err := d.dirs.Take("WAL", d.o.WALDir, s.dirMode); err != nil {
			return err
		}
	}
	for _, m := range d.o.Tablespaces {
		// Whether the server has a tablespace at Old is not known yet; if New
		// is taken by something else, the backup would fail later for sure.
		if entries, err := os.ReadDir(m.New); err == nil && len(entries) > 0 {
			return &NotEmptyError{Path: m.New}
		}
	}
	return d.makeWALDirs()
}

// makeWALDirs makes what must be there before the archives come.
func (d *plain) makeWALDirs() error {
	s, root, prefix := d.s, d.root(), d.s.walDirectory+"/"
	if d.o.WALDir != "" {
		if err := root.Symlink(d.o.WALDir, s.walDirectory); err != nil {
			return fmt.Errorf("could not create symbolic link %q: %w", filepath.Join(d.o.Path, s.walDirectory), err)
		}
		root, prefix = d.dirs.Root(d.o.WALDir), ""
	}
	if !s.streaming {
		return nil
	}
	// WAL arrives before the archive's own entries for these directories.
	made := []string{prefix + "archive_status"}
	if s.version >= 170000 {
		made = append(made, prefix+"summaries")
	}
	for _, dir := range made {
		if err := claim.MakeBelow(root, dir, s.dirMode); err != nil {
			return err
		}
	}
	return nil
}

func (d *plain) root() *os.Root { return d.dirs.Root(d.o.Path) }

func (d *plain) begin(list []replproto.Tablespace) error {
	d.spaces = list
	for _, t := range list {
		if t.OID == 0 || inPlace(t.Location) {
			continue
		}
		path := d.place(t.Location)
		if d.held[path] {
			delete(d.held, path)
			continue
		}
		if err := d.dirs.Take("tablespace", path, d.s.dirMode); err != nil {
			return err
		}
	}
	for _, t := range list {
		if t.OID == 0 || !inPlace(t.Location) {
			continue
		}
		// The location comes from the server and is about to be a path here.
		if t.Location != tarstream.TablespaceDir+"/"+strconv.FormatUint(uint64(t.OID), 10) {
			return fmt.Errorf("server has tablespace %d in place at %q, which is not below %s", t.OID, t.Location, tarstream.TablespaceDir)
		}
		if err := claim.MakeBelow(d.root(), t.Location, d.s.dirMode); err != nil {
			return err
		}
	}
	return nil
}

// inPlace tells a tablespace inside the data directory (15 and later, a
// developer's option) from one elsewhere.
func inPlace(location string) bool {
	return !filepath.IsAbs(location) && !strings.HasPrefix(location, "/")
}

// place is where the tablespace that the server has at location goes.
func (d *plain) place(location string) string {
	return mapped(d.o.Tablespaces, location, filepath.Clean(location))
}

// mapped is where mappings put a location; without one for it, at other.
func mapped(mappings []TablespaceMapping, location, other string) string {
	clean := filepath.Clean(location)
	for _, m := range mappings {
		if filepath.Clean(m.Old) == clean {
			return filepath.Clean(m.New)
		}
	}
	return other
}

func (d *plain) archive(a *replproto.Archive) (stream, error) { return d.openArchive(a, nil) }

// openArchive is archive with options that tune may change.
func (d *plain) openArchive(a *replproto.Archive, tune func(*tarstream.ExtractOptions)) (stream, error) {
	o := tarstream.ExtractOptions{
		Dir: d.o.Path, DirMode: d.s.dirMode, FileMode: d.s.fileMode,
		Writeback: d.o.Sync != durable.NoSync, Sync: d.o.Sync == durable.Fsync, Open: d.dirs.Open,
	}
	data := a.Tablespace.OID == 0
	switch location := a.Tablespace.Location; {
	case data:
		o.Exists, o.Link = d.exists, d.link
		if d.o.WALDir != "" {
			o.Mounts = map[string]string{d.s.walDirectory: d.o.WALDir}
		}
	case inPlace(location):
		o.Dir = filepath.Join(d.o.Path, location)
	default:
		o.Dir = d.place(location)
	}
	o.OnFile = func(name string) {
		if name == heldControlFile {
			name = controlFile
		}
		d.s.onFile(o.Dir + "/" + name)
	}
	if tune != nil {
		tune(&o)
	}
	e, err := tarstream.NewExtractor(o)
	if err != nil {
		return stream{}, err
	}
	s := stream{path: o.Dir, visitor: e, finish: e.Close, release: func() { e.Close() }}
	if !data {
		return s, nil
	}
	in := tarstream.NewInjector(tarstream.Rename(e, controlFile, heldControlFile), d.s.injection)
	s.visitor = in
	s.finish = func() error { return errors.Join(in.Finish(), e.Close()) }
	return s, nil
}

// exists names the directories that are there before the archive's own entry
// for them comes.
func (d *plain) exists(name string) bool {
	switch name {
	case d.s.walDirectory, d.s.walDirectory + "/archive_status", d.s.walDirectory + "/summaries":
		return true
	case tarstream.TablespaceDir:
		return true
	}
	return slices.ContainsFunc(d.spaces, func(t replproto.Tablespace) bool { return t.OID != 0 && t.Location == name })
}

// link maps the target of a tablespace's link. A server that links to a place
// which it did not list is not followed there.
func (d *plain) link(name, target string) (string, error) {
	for _, t := range d.spaces {
		if t.OID != 0 && !inPlace(t.Location) && name == fmt.Sprintf("%s/%d", tarstream.TablespaceDir, t.OID) {
			if filepath.Clean(t.Location) != filepath.Clean(target) {
				return "", fmt.Errorf("link %q leads to %q, but the server listed the tablespace at %q", name, target, t.Location)
			}
			return d.place(t.Location), nil
		}
	}
	return "", fmt.Errorf("link %q leads to %q, which is no tablespace that the server listed", name, target)
}

func (d *plain) wal() (walSink, error) {
	dir := filepath.Join(d.o.Path, d.s.walDirectory)
	if d.o.WALDir != "" {
		dir = d.o.WALDir
	}
	sink := walstream.NewDirectory(walstream.DirectoryOptions{
		Path: dir, NoSync: d.o.Sync == durable.NoSync, FileMode: d.s.fileMode, DirMode: d.s.dirMode,
		Open: d.dirs.Open,
	})
	return walSink{Sink: sink, close: sink.Close, abort: func() { sink.Close() }}, nil
}

func (d *plain) manifest() (io.WriteCloser, error) {
	return createManifest(d.root(), d.s.fileMode)
}

func (d *plain) finish(complete bool) error {
	err := d.commit(complete)
	if err == nil {
		d.dirs.Release()
	}
	return err
}

func (d *plain) commit(complete bool) error {
	if d.o.Sync != durable.NoSync {
		d.s.observer.info("syncing data to disk ...")
	}
	if err := d.sync(); err != nil {
		return err
	}
	if d.beforeCommit != nil {
		if err := d.beforeCommit(); err != nil {
			return err
		}
	}
	err := commitFile(d.root(), controlFile, d.o.Sync)
	if err != nil || !complete || !d.s.withManifest {
		return err
	}
	return commitManifest(d.root(), d.o.Sync, d.s.observer)
}

// sync makes everything that is there durable.
func (d *plain) sync() error {
	if d.o.Sync != durable.Fsync || d.unsynced {
		return d.dirs.Sync(d.o.Sync)
	}
	// What came in archives was synced then. Streamed WAL was not.
	wal, err := d.openWALDir()
	if err != nil {
		return fmt.Errorf("could not open the directory of WAL: %w", err)
	}
	if err := errors.Join(durable.SyncTree(wal, d.o.Sync), wal.Close()); err != nil {
		return err
	}
	return d.dirs.SyncWritten(d.o.Sync)
}

func (d *plain) openWALDir() (*os.Root, error) {
	if d.o.WALDir != "" {
		return d.dirs.Open(d.o.WALDir)
	}
	return d.dirs.Open(filepath.Join(d.o.Path, d.s.walDirectory))
}

func (d *plain) abort() { abandon(&d.dirs, d.o.NoClean, d.s) }
