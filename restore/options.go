package restore

import (
	"io"

	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

// SyncMethod is how what was written is made durable.
type SyncMethod = durable.SyncMethod

// Ways to make what was written durable.
const (
	Fsync  = durable.Fsync  // each file and directory
	Syncfs = durable.Syncfs // whole file systems, where there is syncfs(2)
	NoSync = durable.NoSync // left to the operating system
)

// Options say what to restore, where, and how it shall recover. Paths other
// than Backup must be absolute.
type Options struct {
	// Backup is a data directory in plain format, a directory of tar files, a
	// tar file, or "-" for Stdin.
	Backup string
	Stdin  io.Reader
	// Incrementals are the incremental backups (17 and later) that follow Backup,
	// oldest first. The newest is what is restored; Backup is full then, and none
	// of them is Stdin.
	Incrementals []string

	// DataDir becomes the data directory. It is made, or must be empty.
	DataDir string
	// WALDir holds the WAL instead of pg_wal, which becomes a link to it. It is
	// made, or must be empty.
	WALDir string
	// Tablespaces move tablespaces. Those not named go where they were on the
	// server, or where the plain backup has them.
	Tablespaces []Mapping
	// Remap, if not nil, is asked before Tablespaces where a tablespace goes; ""
	// leaves the decision to them.
	Remap func(oid uint32, location string) string

	// Recovery is how the server shall recover. The zero value leaves it at
	// what the backup's own WAL brings.
	Recovery recoveryconf.Recovery
	// WALArchive is the directory that Recovery's restore command takes WAL
	// from, if it is one that can be read here: the plan then knows whether WAL
	// is missing and whether the target can be reached.
	WALArchive string
	// Settings are added to the server's configuration.
	Settings recoveryconf.Params

	// ReadAll reads the whole backup for the plan, also where it has to be
	// decompressed, so that the plan knows all sizes and all WAL. Standard input
	// is not read.
	ReadAll bool
	// NoVerify leaves out the comparison with the manifest.
	NoVerify bool
	Sync     SyncMethod
	// NoClean leaves everything in place when the restore fails.
	NoClean bool
	// Jobs is how many archives are read at a time; 0 means one for each
	// processor. With 1, each file is written before the next one is read.
	Jobs int

	Observer Observer
}

// Mapping moves a tablespace.
type Mapping struct {
	Old string // its location, an absolute path, or its OID in decimal
	New string // an absolute path
}

// Observer is told what happens; each function may be nil. Progress is called
// from several goroutines, one call at a time.
type Observer struct {
	Info     func(message string) // what is done
	Warning  func(message string) // what does not keep the restore from going on
	Cleanup  func(message string) // what happens to the files of a failed restore
	Progress func(Progress)
}

// Progress is how far a restore is.
type Progress struct {
	Done     int64  // bytes of files restored
	Total    int64  // bytes of all files; 0 = not known
	Archive  int    // archives that are complete
	Archives int    // archives in all
	File     string // path of the file that is being written
	Finished bool   // all files are written
}

func (o *Observer) info(message string) {
	if o.Info != nil {
		o.Info(message)
	}
}

func (o *Observer) warning(message string) {
	if o.Warning != nil {
		o.Warning(message)
	}
}

func (o *Observer) cleanup(message string) {
	if o.Cleanup != nil {
		o.Cleanup(message)
	}
}
