package basebackup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/journal"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// directory is plain under a name that its method does not have.
type directory = plain

// keeper is a plain destination that keeps a journal, and takes a backup in as many
// attempts as are needed. Until the server is known to be one whose backups can be gone
// on with, it is just a plain destination.
type keeper struct {
	*directory
	o *Options

	active bool // the server can go on, and a journal is kept
	taken  bool // the directories are, by an earlier attempt or run
	// stock is what there is to go on with; nil for an attempt that begins anew.
	stock *stock
	roots *roots
	// before are the places of the attempt before.
	before []place
	// dirs are the directories that were left, by the directory that they are in.
	// False means that the backup under way has it, too.
	dirs map[string]map[string]bool

	server attempt // what is known of the attempt under way
	layout incremental.Layout

	journal *journal.Writer
	added   atomic.Int64 // files that the journal got in this attempt
	sums    summer

	// What passed the checker last, and when what was stored last was changed.
	passedPath string
	passedSize int64
	passedSum  []byte
	storedAt   int64

	attempts  int   // so far, with those of earlier runs
	keptBytes int64 // with which the attempt under way began

	label manifest.File // of backup_label, as it was written here
	slot  string        // that was made for the backup
}

func (k *keeper) journalPath() string { return filepath.Join(k.directory.o.Path, JournalName) }

// resumed tells whether the attempt under way builds on earlier ones.
func (k *keeper) resumed() bool { return k != nil && k.active && k.stock != nil }

// prepare implements Destination.
func (k *keeper) prepare(s *site) error {
	if !k.taken {
		err := k.directory.prepare(s)
		var notEmpty *NotEmptyError
		if errors.As(err, &notEmpty) && notEmpty.Path == k.directory.o.Path && HasJournal(notEmpty.Path) {
			return &LeftoverError{notEmpty}
		}
		k.taken = err == nil && k.active
		return err
	}
	k.s = s
	k.directory.unsynced = true
	return k.clean()
}

// LeftoverError says that a directory which a backup should fill holds one that was
// broken off, with which Options.Resume may go on.
type LeftoverError struct{ *NotEmptyError }

func (e *LeftoverError) Unwrap() error { return e.NotEmptyError }

// clean removes all that is there but for the files in stock and the journal.
func (k *keeper) clean() error {
	path := k.directory.o.Path
	k.dirs = make(map[string]map[string]bool)
	sweep := func(dir string, keep func(string) bool) error {
		left, err := prune(k.directory.dirs.Root(dir), keep)
		k.dirs[dir] = make(map[string]bool)
		for _, name := range left {
			k.dirs[dir][name] = true
		}
		return err
	}
	err := sweep(path, func(name string) bool {
		if k.stock == nil {
			return name == JournalName
		}
		if dir, _ := k.roots.locate(name); dir != path {
			return false // a link is there, not a directory
		}
		return name == JournalName || k.stock.get(name) != nil
	})
	if err != nil {
		return err
	}
	if dir := k.directory.o.WALDir; dir != "" {
		if err := sweep(dir, func(string) bool { return false }); err != nil {
			return err
		}
	}
	if k.roots != nil {
		for link, dir := range k.roots.spaces {
			err := sweep(dir, func(name string) bool { return k.stock != nil && k.stock.get(link+"/"+name) != nil })
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return k.makeWALDirs()
}

// begin implements Destination.
func (k *keeper) begin(list []replproto.Tablespace) error {
	if !k.active {
		return k.directory.begin(list)
	}
	if err := k.dropSpaces(list); err != nil {
		return err
	}
	k.held = make(map[string]bool)
	if k.roots != nil {
		for _, dir := range k.roots.spaces {
			k.held[dir] = true
		}
	}
	if err := k.directory.begin(list); err != nil {
		return err
	}
	return k.open(list)
}

// dropSpaces removes the tablespaces that the server does not have any more.
func (k *keeper) dropSpaces(list []replproto.Tablespace) error {
	if k.roots == nil {
		return nil
	}
	for _, p := range slices.Clone(k.before) {
		if _, ok := k.roots.spaces[p.name]; !ok {
			continue
		}
		i := slices.IndexFunc(list, func(t replproto.Tablespace) bool { return t.OID != 0 && linkName(t.OID) == p.name })
		if i >= 0 {
			// It may be elsewhere on the server now, which may be another one.
			if there := mapped(k.directory.o.Tablespaces, list[i].Location, p.path); there != p.path {
				return k.refuse("tablespace %d is in %q and not in %q", list[i].OID, p.path, there)
			}
			k.directory.o.Tablespaces = append(slices.Clip(k.directory.o.Tablespaces), TablespaceMapping{Old: list[i].Location, New: p.path})
			continue
		}
		if err := k.dropSpace(p); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) dropSpace(p place) error {
	for path := range k.usable() {
		if strings.HasPrefix(path, p.name+"/") {
			if err := k.forget(path); err != nil {
				return err
			}
		}
	}
	if root := k.roots.dirs[p.path]; root != nil {
		root.Close()
		delete(k.roots.dirs, p.path)
	}
	delete(k.roots.spaces, p.name)
	delete(k.dirs, p.path)
	k.before = slices.DeleteFunc(k.before, func(b place) bool { return b.name == p.name })
	if err := k.directory.dirs.Drop(p.path); err != nil {
		return fmt.Errorf("could not remove tablespace directory %q: %w", p.path, err)
	}
	return nil
}

// usable are the paths of the files in stock.
func (k *keeper) usable() iter.Seq[string] {
	if k.stock == nil {
		return maps.Keys(map[string]int32(nil))
	}
	return maps.Keys(k.stock.index)
}

func (k *keeper) forget(path string) error {
	if k.journal != nil {
		if err := k.journal.Add(forgetRecord(path)); err != nil {
			return err
		}
	}
	delete(k.stock.index, path)
	return nil
}

func linkName(oid uint32) string { return fmt.Sprintf("%s/%d", tarstream.TablespaceDir, oid) }

// open notes the attempt in the journal, durably, before any of its data comes.
func (k *keeper) open(list []replproto.Tablespace) (err error) {
	a := k.server
	a.start, a.timeline, a.slot = k.s.start, k.s.timeline, k.slot
	add := func(name, location, path string) error {
		made := k.directory.dirs.Made(path)
		// The run that goes on may have another working directory.
		absolute, err := filepath.Abs(path)
		if err == nil && made != "" {
			made, err = filepath.Abs(made)
		}
		if err != nil {
			return fmt.Errorf("could not find the place of directory %q: %w", path, err)
		}
		a.places = append(a.places, place{name, location, absolute, made})
		return nil
	}
	err = add("", "", k.directory.o.Path)
	if k.directory.o.WALDir != "" {
		err = errors.Join(err, add(k.s.walDirectory, "", k.directory.o.WALDir))
	}
	for _, t := range list {
		if t.OID != 0 && !inPlace(t.Location) {
			err = errors.Join(err, add(linkName(t.OID), t.Location, k.place(t.Location)))
		}
	}
	if err != nil {
		return err
	}
	if k.journal == nil {
		if k.journal, err = journal.Create(k.journalPath(), journalKind, k.s.fileMode); err != nil {
			return err
		}
	}
	if err := k.journal.Add(a.record()); err != nil {
		return err
	}
	k.before = a.places
	k.attempts++
	k.roots.close()
	k.roots = newRoots(k.directory.o.Path, a.places, k.directory.dirs.Open)
	return k.journal.Sync()
}

// archive implements Destination.
func (k *keeper) archive(a *replproto.Archive) (stream, error) {
	if !k.active {
		return k.directory.archive(a)
	}
	s, err := k.openArchive(a, func(o *tarstream.ExtractOptions) {
		exists, left := o.Exists, k.dirs[o.Dir]
		o.Exists = func(name string) bool {
			_, there := left[name]
			return there || exists != nil && exists(name)
		}
		o.Stored = func(_ string, info fs.FileInfo) { k.storedAt = info.ModTime().UnixNano() }
	})
	if err != nil {
		return s, err
	}
	prefix := ""
	if a.Tablespace.OID != 0 {
		prefix = linkName(a.Tablespace.OID) + "/"
	}
	v := &keeping{keeper: k, next: s.visitor, prefix: prefix, dir: s.path, pages: newestPage{blockSize: k.server.blockSize}}
	s.visitor = v
	release := s.release
	s.release = func() { v.release(); release() }
	return s, nil
}

// passed is told of every file that has passed the checker.
func (k *keeper) passed(path string, size int64, checksum []byte) {
	k.passedPath, k.passedSize, k.passedSum = path, size, append(k.passedSum[:0], checksum...)
}

// arrived notes a file that is there whole.
func (k *keeper) arrived(a arrival) error {
	k.added.Add(1)
	return k.journal.Add(a.record())
}

// manifest implements Destination. The one that lists incremental files is not that of
// the backup.
func (k *keeper) manifest() (io.WriteCloser, error) {
	if !k.resumed() {
		return k.directory.manifest()
	}
	f, err := durable.Create(k.root(), receivedManifest, k.s.fileMode)
	if err != nil {
		return nil, err
	}
	return manifestFile{f}, nil
}

// finish implements Destination.
//
// The journal goes when everything else is durable, and before pg_control gets its name.
// Whenever the process ends, the directory is one that can be gone on with, or, from
// the end of the journal to the name of the manifest, one that holds everything and does
// not look like a backup, or a backup.
func (k *keeper) finish(complete bool) error {
	if !k.active {
		return k.directory.finish(complete)
	}
	if k.resumed() {
		if err := k.settle(); err != nil {
			return err
		}
	}
	k.beforeCommit = func() error {
		err := k.journal.Close()
		k.journal = nil
		if removeErr := k.root().Remove(JournalName); err == nil {
			err = removeErr
		}
		if err != nil {
			return fmt.Errorf("could not remove journal: %w", err)
		}
		return k.syncData()
	}
	return k.directory.finish(complete)
}

// abort implements Destination. What becomes of the files is for the run to decide,
// which may try again.
func (k *keeper) abort() {}

// end is abort for the whole run.
func (k *keeper) end(keep bool) {
	k.sums.stop()
	k.roots.close()
	if k.journal != nil {
		k.journal.Close()
		k.journal = nil
	}
	if keep {
		k.directory.dirs.Release()
		return
	}
	k.directory.abort()
}

// again makes the next attempt build on what is there.
func (k *keeper) again(ctx context.Context) error {
	if k.journal == nil {
		// Nothing had been sent.
		return nil
	}
	if err := k.sums.wait(); err != nil {
		return err
	}
	s, err := readStock(k.journalPath())
	if err != nil {
		return err
	}
	k.roots.close()
	k.roots = newRoots(k.directory.o.Path, k.before, k.directory.dirs.Open)
	if err := s.recheck(ctx, k.roots, true, k.changed); err != nil {
		return err
	}
	k.use(s)
	return nil
}

// changed is told of a file that is not as it was left.
func (k *keeper) changed(path string) error {
	k.directory.s.observer.info(fmt.Sprintf("file \"%s\" is not as it arrived and is fetched again", path))
	return k.journal.Add(forgetRecord(path))
}

// use takes what there is, if that is anything.
func (k *keeper) use(s *stock) {
	k.stock = nil
	if len(s.index) > 0 {
		k.stock = s
	}
}
