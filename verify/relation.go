package verify

import (
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
)

// relationFile says which part of which relation a file holds.
type relationFile struct {
	tablespace, database, relation uint32
	fork                           uint8
	segment                        uint32 // counted from 0
}

// Tablespaces that have no link in pg_tblspc (pg_tablespace.dat).
const (
	defaultTablespace = 1663
	globalTablespace  = 1664
)

// Forks of a relation, in the numbers that WAL uses (relpath.h).
const (
	mainFork uint8 = iota
	fsmFork
	vmFork
	initFork
)

// parseRelationFile understands paths below the data directory. ok is false for
// all files that do not consist of pages with checksums.
func parseRelationFile(path string) (f relationFile, ok bool) {
	parts := strings.Split(path, "/")
	name := parts[len(parts)-1]
	switch {
	case len(parts) == 2 && parts[0] == "global":
		f.tablespace, ok = globalTablespace, true
	case len(parts) == 3 && parts[0] == "base":
		f.tablespace = defaultTablespace
		f.database, ok = pgdata.ParseOID(parts[1])
	case len(parts) == 5 && parts[0] == "pg_tblspc" && strings.HasPrefix(parts[2], "PG_"):
		if f.tablespace, ok = pgdata.ParseOID(parts[1]); ok {
			f.database, ok = pgdata.ParseOID(parts[3])
		}
	}
	if !ok {
		return f, false
	}
	name, segment, more := strings.Cut(name, ".")
	if more {
		if f.segment, ok = pgdata.ParseOID(segment); !ok {
			return f, false
		}
	}
	name, fork, more := strings.Cut(name, "_")
	if more {
		switch fork {
		case "fsm":
			f.fork = fsmFork
		case "vm":
			f.fork = vmFork
		case "init":
			f.fork = initFork
		default:
			return f, false
		}
	}
	f.relation, ok = pgdata.ParseOID(name)
	return f, ok
}
