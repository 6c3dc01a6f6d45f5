package basebackup

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/internal/journal"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// clean removes all that is there but for the files in stock and the journal.
func (k *keeper) clean() error {
	path := filepath.Clean(k.directory.o.Path)
	k.dirs = make(map[string]map[string]bool)
	sweep := func(dir string, keep func(string) bool) error {
		left, err := prune(dir, keep)
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
	k.roots = newRoots(k.directory.o.Path, a.places)
	return k.journal.Sync()
}
