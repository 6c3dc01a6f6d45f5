package prove

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

// Options say what to prove.
type Options struct {
	// Restore is the backup and how it shall recover. Where it is restored to is
	// decided here: DataDir, WALDir, Tablespaces, Remap, Sync and NoClean must be
	// zero. The server cannot stay a standby, pause or shut down at the target.
	// Settings are treated as those of Server.
	Restore restore.Options
	// Fill, if not nil, lays out the data directory in place of Restore, of
	// which Backup is a name then.
	Fill func(ctx context.Context, d Dir) error

	Server ServerOptions
	Checks Checks
	// Timeout bounds everything; 0 means DefaultTimeout.
	Timeout time.Duration
	// Jobs is how many connections check at a time; 0 means one for each
	// processor.
	Jobs int
	// Keep leaves the scratch directory in place; the server is stopped in any
	// case.
	Keep bool
	// Case, if not nil, is told of each check that has ended, in turn.
	Case func(*Case)
}

// DefaultTimeout is how long a proof may take if nothing else is said.
const DefaultTimeout = time.Hour

// Checks are what is done with the recovered server. That it recovers, and to
// its target, is always checked.
type Checks struct {
	// Amcheck checks every B-tree index against its table, and from 14 on every
	// table, with the server's extension amcheck.
	Amcheck bool
	// Dump reads every row of every table in every database that accepts
	// connections.
	Dump bool
	// Checksums checks the checksum of every page after the server was shut
	// down, if the cluster has them.
	Checksums bool
	// Statements are run after the other checks, those of one database one after
	// the other.
	Statements []Statement
}

// Statement is SQL to run in a database.
type Statement struct {
	Database string // "" means the one that the superuser can log in to
	SQL      string // also several statements, separated by semicolons
	// Assert: the last result must be one row of one boolean that is true.
	Assert bool
	// Name is how the report calls it: the name of a file, or the SQL.
	Name string
}

// check refuses options that contradict what a proof is.
func (o *Options) check() error {
	r := &o.Restore
	switch {
	case r.DataDir != "" || r.WALDir != "" || r.Tablespaces != nil || r.Remap != nil:
		return errors.New("where a backup is restored to for a proof cannot be chosen")
	case r.Recovery.Standby || r.Recovery.PrimaryConnInfo != "" || r.Recovery.PrimarySlot != "":
		return errors.New("a standby never ends its recovery, and cannot be proved")
	case r.Recovery.Action != "" && r.Recovery.Action != recoveryconf.ActionPromote:
		return fmt.Errorf("a server that shall %s at the recovery target cannot be checked", r.Recovery.Action)
	}
	return nil
}

func (o *Options) jobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return runtime.GOMAXPROCS(0)
}
