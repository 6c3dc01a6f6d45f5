package combine

import (
	"fmt"
	"path"
	"path/filepath"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/pgdata"
)

// UnmappedError says that nobody said where a tablespace goes.
type UnmappedError struct{ Location string }

// Error is pg_combinebackup's message.
func (e *UnmappedError) Error() string {
	return fmt.Sprintf("tablespace at \"%s\" has no tablespace mapping", e.Location)
}

// placeTablespaces decides where the tablespaces go.
func (r *run) placeTablespaces() error {
	for _, info := range r.chain.Head().Tablespaces {
		t := Tablespace{OID: info.OID, Old: info.Location}
		// What has no location is in place: it is in no tablespace_map, and in a
		// data directory it is not a link.
		if t.InPlace = info.Location == "" || info.Where == backupset.InData; t.InPlace {
			t.Old, t.New = "", ""
			r.tablespaces = append(r.tablespaces, t)
			continue
		}
		if r.plain() && r.chain.Last().Form == backupset.Plain && !filepath.IsAbs(t.Old) {
			return fmt.Errorf("target of symbolic link \"%s/%s/%d\" is relative", r.chain.Last().Path, backupset.TablespaceDir, t.OID)
		}
		if a := r.chain.Last().Archive(backupset.Tablespace, info.OID); a != nil && r.chain.Last().Form == backupset.Plain {
			// Where the link leads, as pg_combinebackup has it, whatever a tablespace_map says.
			t.Old = a.Path()
		}
		for _, m := range r.o.Tablespaces {
			if path.Clean(filepath.ToSlash(m.Old)) == path.Clean(filepath.ToSlash(t.Old)) {
				t.New = filepath.Clean(m.New)
			}
		}
		if t.New == "" && r.plain() {
			return &UnmappedError{path.Clean(filepath.ToSlash(t.Old))}
		}
		for _, other := range r.tablespaces {
			if t.New != "" && other.New == t.New {
				return fmt.Errorf("tablespaces with OIDs %d and %d both point at directory \"%s\"", other.OID, t.OID, t.New)
			}
		}
		r.tablespaces = append(r.tablespaces, t)
	}
	return nil
}

func (r *run) tablespace(oid uint32) *Tablespace {
	for i := range r.tablespaces {
		if r.tablespaces[i].OID == oid {
			return &r.tablespaces[i]
		}
	}
	return nil
}

// tablespaceMap is that of a backup in tar format.
func (r *run) tablespaceMap() []byte {
	var links []pgdata.TablespaceLink
	for _, t := range r.tablespaces {
		switch {
		case t.InPlace:
		case t.New != "":
			links = append(links, pgdata.TablespaceLink{OID: t.OID, Location: t.New})
		default:
			links = append(links, pgdata.TablespaceLink{OID: t.OID, Location: t.Old})
		}
	}
	return pgdata.FormatTablespaceMap(links)
}
