package combine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
)

// OverlapError says that a directory to be written lies in one that is read, or
// the other way round, or in another one to be written.
type OverlapError struct{ Path, Other string }

func (e *OverlapError) Error() string {
	if e.Path == e.Other {
		return fmt.Sprintf("directory %q would be used twice", e.Path)
	}
	return fmt.Sprintf("directories %q and %q lie one in the other", e.Path, e.Other)
}

// targets are the directories that will be filled.
func (r *run) targets() []string {
	list := []string{r.o.Output}
	for _, t := range r.tablespaces {
		if r.plain() && !t.InPlace {
			list = append(list, t.New)
		}
	}
	return list
}

// checkTargets refuses directories that hold something, or lie in one another or
// in a backup.
func (r *run) checkTargets() error {
	for _, path := range r.targets() {
		entries, err := os.ReadDir(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("could not access directory %q: %w", path, err)
		case !claim.OnlyProbes(entries):
			return &NotEmptyError{Path: path}
		}
	}
	var taken []string
	for _, set := range r.chain.Sets() {
		if set.Form == backupset.Tar {
			continue // a file: what is beside it is no part of it
		}
		taken = append(taken, set.Path)
		for i := range set.Archives {
			if a := &set.Archives[i]; set.Form == backupset.Plain && a.Kind == backupset.Tablespace {
				taken = append(taken, a.Path())
			}
		}
	}
	for _, path := range r.targets() {
		for _, other := range taken {
			if claim.Overlap(claim.Resolve(path), claim.Resolve(other)) {
				return &OverlapError{path, other}
			}
		}
		taken = append(taken, path)
	}
	return nil
}
