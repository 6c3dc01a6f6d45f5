package restore

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/pgdata"
)

// Tablespace is where a tablespace of the backup goes.
type Tablespace struct {
	OID      uint32 `json:"oid"`
	Location string `json:"location"` // on the server, or of a plain backup where the backup has it; "" if it is not known
	Path     string `json:"path"`     // where it goes; below the data directory if InPlace
	InPlace  bool   `json:"in_place"` // inside the data directory (15 and later, a developer's option)
	Bytes    int64  `json:"bytes"`    // of its files; -1 if not known

	archive *backupset.Archive // nil: its files are members of the data directory's archive, if they are anywhere
}

// MissingTablespaceError says that the backup holds nothing of a tablespace.
type MissingTablespaceError struct {
	OID      uint32
	Location string
	Reason   string
}

func (e *MissingTablespaceError) Error() string {
	return fmt.Sprintf("tablespace %d (%q) is not in the backup: %s", e.OID, e.Location, e.Reason)
}

// UnknownMappingError says that a mapping is about no tablespace of the backup.
type UnknownMappingError struct {
	Mapping
	Locations []string // those there are
}

func (e *UnknownMappingError) Error() string {
	there := "the backup has no tablespaces"
	if len(e.Locations) > 0 {
		there = "the backup has tablespaces at " + strings.Join(e.Locations, ", ")
	}
	return fmt.Sprintf("no tablespace %q to map to %q: %s", e.Old, e.New, there)
}

// LocationUnknownError says that the backup does not tell where a tablespace
// was.
type LocationUnknownError struct{ OID uint32 }

func (e *LocationUnknownError) Error() string {
	return fmt.Sprintf("the backup does not say where tablespace %d was", e.OID)
}

// tablespaces decides where the backup's tablespaces go.
func (p *Plan) tablespaces() error {
	used := make([]bool, len(p.o.Tablespaces))
	var all []Tablespace
	for _, info := range p.head.Tablespaces {
		t := Tablespace{OID: info.OID, Location: info.Location, Bytes: -1}
		switch info.Where {
		case backupset.Nowhere:
			return &MissingTablespaceError{t.OID, t.Location, info.Reason}
		case backupset.InArchive:
			t.archive = p.set.Archive(backupset.Tablespace, info.OID)
		}
		if t.archive != nil {
			t.Bytes = t.archive.Content
		}
		if err := p.place(&t, used); err != nil {
			return err
		}
		all = append(all, t)
	}
	p.Tablespaces = all
	for i, m := range p.o.Tablespaces {
		if !used[i] {
			return &UnknownMappingError{m, locations(all)}
		}
	}
	return nil
}

func (p *Plan) tablespace(oid uint32) *Tablespace {
	for i := range p.Tablespaces {
		if p.Tablespaces[i].OID == oid {
			return &p.Tablespaces[i]
		}
	}
	return nil
}

func locations(all []Tablespace) []string {
	var list []string
	for _, t := range all {
		if t.Location != "" {
			list = append(list, strconv.Quote(t.Location))
		} else {
			list = append(list, strconv.FormatUint(uint64(t.OID), 10))
		}
	}
	return list
}

// place sets where one tablespace goes.
func (p *Plan) place(t *Tablespace, used []bool) error {
	oid := strconv.FormatUint(uint64(t.OID), 10)
	if p.o.Remap != nil {
		t.Path = p.o.Remap(t.OID, t.Location)
	}
	for i, m := range p.o.Tablespaces {
		if m.Old == oid || t.Location != "" && path.Clean(m.Old) == path.Clean(t.Location) {
			used[i] = true
			if t.Path == "" {
				t.Path = filepath.Clean(m.New)
			}
		}
	}
	switch {
	case t.Path != "":
	case t.Location == "" && (p.Version == 0 || p.Version >= 150000):
		// What is not in tablespace_map has no link to it on the server either.
		t.InPlace = true
		t.Path = filepath.Join(p.DataDir, backupset.TablespaceDir, oid)
	case t.Location == "":
		return &LocationUnknownError{t.OID}
	default:
		t.Path = filepath.FromSlash(t.Location)
	}
	if !filepath.IsAbs(t.Path) {
		return fmt.Errorf("tablespace %d cannot go to %q, which is not an absolute path", t.OID, t.Path)
	}
	if strings.ContainsAny(t.Path, "\x00\n\r") {
		return fmt.Errorf("tablespace %d cannot go to %q: the path has characters that no server takes", t.OID, t.Path)
	}
	return nil
}

// targets are the directories that will be filled, data directory first.
func (p *Plan) targets() []target {
	list := []target{{what: "data directory", path: p.DataDir}}
	if p.WALDir != "" {
		list = append(list, target{what: "WAL directory", path: p.WALDir})
	}
	for _, t := range p.Tablespaces {
		if !t.InPlace {
			list = append(list, target{what: fmt.Sprintf("tablespace %d", t.OID), path: t.Path})
		}
	}
	return list
}

// checkTargets refuses directories that lie in one another or in the backup,
// and those that hold something else than what a killed restore left.
func (p *Plan) checkTargets() error {
	if err := checkOverlaps(p.targets()); err != nil {
		return err
	}
	sets := []*backupset.Set{p.set}
	if p.chain != nil {
		sets = p.chain.Sets()
	}
	for _, s := range sets {
		if err := checkSources(s, p.targets()); err != nil {
			return err
		}
	}
	for _, t := range p.targets() {
		entries, err := os.ReadDir(t.path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return fmt.Errorf("could not access directory %q: %w", t.path, err)
		case claim.OnlyProbes(entries):
		case !debrisAt(t.path, p.DataDir):
			return &claim.NotEmptyError{Path: t.path}
		default:
			p.Debris = append(p.Debris, t.path)
		}
	}
	return nil
}

// checkSources refuses to restore into a backup that is read.
func checkSources(s *backupset.Set, targets []target) error {
	if s.Form == backupset.Tar {
		return nil
	}
	if err := checkSource(target{what: "the backup", path: absolute(s.Path)}, targets); err != nil {
		return err
	}
	if s.Form != backupset.Plain {
		return nil
	}
	// Its tablespaces are read through links.
	for i := range s.Archives {
		if a := &s.Archives[i]; a.Kind == backupset.Tablespace {
			own := target{what: fmt.Sprintf("the backup's tablespace %d", a.OID), path: absolute(a.Path())}
			if err := checkSource(own, targets); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSource refuses to restore into a directory of the backup itself.
func checkSource(own target, targets []target) error {
	real := claim.Resolve(own.path)
	for _, t := range targets {
		if claim.Overlap(claim.Resolve(t.path), real) {
			return &OverlapError{own.what, own.path, t.what, t.path}
		}
	}
	return nil
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// tablespaceMap is the file for the data directory, in which the tablespaces
// have their new places. The server makes its links from it.
func (p *Plan) tablespaceMap(v pgdata.Version) []byte {
	var links []pgdata.TablespaceLink
	for _, t := range p.Tablespaces {
		if !t.InPlace {
			links = append(links, pgdata.TablespaceLink{OID: t.OID, Location: t.Path})
		}
	}
	return v.FormatTablespaceMap(links)
}
