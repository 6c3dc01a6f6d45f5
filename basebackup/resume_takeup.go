package basebackup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/internal/journal"
	"github.com/pgbasin/pgbasin/wal"
)

// takeUp takes the directories of a backup that an earlier run has left, and what the
// journal says of them.
func (k *keeper) takeUp() error {
	path := k.directory.o.Path
	if err := k.directory.dirs.TakeOver("data", path, ""); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return k.refuse("the directory is not there")
		}
		return err
	}
	s, err := readStock(k.journalPath())
	var damaged *journal.DamagedError
	switch {
	case errors.Is(err, os.ErrNotExist):
		return k.refuse("there is no file %q in it, so that it is not known what has arrived", JournalName)
	case errors.As(err, &damaged), errors.Is(err, errRecord):
		return k.refuse("%v", err)
	case err != nil:
		return err
	}
	last := s.last()
	if last == nil {
		return k.refuse("its journal has nothing in it")
	}
	if err := k.samePlaces(last.places); err != nil {
		return err
	}
	k.taken, k.before, k.attempts = true, last.places, len(s.attempts)
	k.roots = newRoots(path, last.places)
	for _, p := range last.places {
		if p.name == "" {
			k.directory.dirs.Adopt(path, p.made)
			continue
		}
		what := "tablespace"
		if p.name == "pg_wal" {
			what, k.directory.o.WALDir = "WAL", p.path
		}
		err := k.directory.dirs.TakeOver(what, p.path, p.made)
		if errors.Is(err, os.ErrNotExist) && what == "tablespace" {
			delete(k.roots.spaces, p.name) // its files come again
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if k.o.CreateSlot && last.slot == k.o.Slot {
		k.slot = last.slot
	}
	k.journal, err = journal.Append(k.journalPath(), s.end)
	if err != nil {
		return err
	}
	k.use(s)
	return nil
}

// samePlaces refuses options that put a part of the backup elsewhere, and a directory
// that is not the one which the journal was made in: what it names would be another's.
func (k *keeper) samePlaces(places []place) error {
	d := k.directory
	given := d.o.Tablespaces
	if apart := func(p place) bool { return p.name == "pg_wal" }; d.o.WALDir != "" && !slices.ContainsFunc(places, apart) {
		// Whatever is in there is not the backup's.
		return k.refuse("its WAL is in %q and not in %q", filepath.Join(d.o.Path, "pg_wal"), d.o.WALDir)
	}
	for _, p := range places {
		switch {
		case p.name == "":
			if !sameFile(p.path, d.o.Path) {
				return k.refuse("it was made in %q, and what belongs to it elsewhere is not this directory's", p.path)
			}
		case p.name == "pg_wal":
			if d.o.WALDir != "" && d.o.WALDir != p.path {
				return k.refuse("its WAL directory is %q and not %q", p.path, d.o.WALDir)
			}
		case mapped(given, p.location, p.path) != p.path:
			return k.refuse("the tablespace that the server has at %q is in %q and not in %q", p.location, p.path, d.place(p.location))
		default:
			d.o.Tablespaces = append(slices.Clip(d.o.Tablespaces), TablespaceMapping{Old: p.location, New: p.path})
		}
		if p.name != "" {
			if err := plausible(p); err != nil {
				return k.refuse("%v", err)
			}
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// plausible sees that a directory outside of the data directory holds what a backup has
// there and nothing else, because everything in it may be removed.
func plausible(p place) error {
	entries, err := os.ReadDir(p.path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, e := range entries {
		ok := false
		if p.name == "pg_wal" {
			segment, _, _ := strings.Cut(e.Name(), ".")
			ok = wal.IsSegmentName(segment) || wal.IsHistoryName(e.Name()) || e.Name() == "archive_status" || e.Name() == "summaries"
		} else {
			match, _ := filepath.Match("PG_[0-9]*_[0-9]*", e.Name())
			ok = match && e.IsDir()
		}
		if !ok {
			return fmt.Errorf("there is %q in %q, which no backup has put there", e.Name(), p.path)
		}
	}
	return nil
}
