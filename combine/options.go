package combine

import (
	"fmt"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// SyncMethod is how what was written is made durable.
type SyncMethod = durable.SyncMethod

// Ways to make what was written durable.
const (
	Fsync  = durable.Fsync  // each file and directory
	Syncfs = durable.Syncfs // whole file systems, where there is syncfs(2)
	NoSync = durable.NoSync // left to the operating system
)

// Format is what the result is.
type Format int

const (
	Plain Format = iota // a data directory
	Tar                 // a directory of tar files
)

// Method is how a file that does not change gets from a data directory to a data
// directory. Files that are put together are written in any case.
type Method int

const (
	Copy          Method = iota
	Clone                // share the blocks, on file systems that can (FICLONE)
	CopyFileRange        // leave the copying to the kernel (copy_file_range)
	Link                 // hard links: the file is that of the backup then
)

// String names the method as pg_combinebackup does.
func (m Method) String() string {
	switch m {
	case Copy:
		return "copy"
	case Clone:
		return "clone"
	case CopyFileRange:
		return "copy_file_range"
	case Link:
		return "link"
	}
	return fmt.Sprintf("method %d", int(m))
}

// Options say what to combine, and into what.
type Options struct {
	// Backups are paths of data directories, directories of tar files, or single
	// tar files, the full backup first.
	Backups []string
	// Output becomes the backup. It is made, or must be empty.
	Output string
	Format Format
	// Compression is that of tar files.
	Compression codec.Spec
	// Tablespaces say where tablespaces go. For Plain each needs one; for Tar it
	// changes what tablespace_map says.
	Tablespaces []Mapping

	// Checksums are those of the new manifest, unless NoManifest. The zero value
	// is None.
	Checksums  manifest.ChecksumAlgorithm
	NoManifest bool
	// NoVerify leaves out the comparison with the manifests of the backups.
	NoVerify bool
	Method   Method
	Sync     SyncMethod
	// DryRun checks everything that can be checked without reading the backups
	// whole, and writes nothing.
	DryRun bool
	// Jobs is how many files are put together at a time; 0 means one for each
	// processor.
	Jobs int

	Observer Observer
}

// Mapping moves a tablespace.
type Mapping struct {
	Old string // where the newest backup has it, or, if that is in tars, where the server has it
	New string // an absolute path
}

// Observer is told what happens; each function may be nil. All may be called from
// several goroutines at once, Progress one call at a time.
type Observer struct {
	Debug    func(message string) // each step
	Info     func(message string)
	Warning  func(message, hint string) // hint is "" if there is none
	Cleanup  func(message string)       // what happens to the files of a run that failed
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Done     int64 // bytes of the backups that were read, as they are stored
	Total    int64 // of these, about
	Finished bool  // everything was read and written
}

func (o *Observer) debugf(format string, args ...any) {
	if o.Debug != nil {
		o.Debug(fmt.Sprintf(format, args...))
	}
}

func (o *Observer) info(message string) {
	if o.Info != nil {
		o.Info(message)
	}
}

func (o *Observer) warning(message, hint string) {
	if o.Warning != nil {
		o.Warning(message, hint)
	}
}

func (o *Observer) cleanup(message string) {
	if o.Cleanup != nil {
		o.Cleanup(message)
	}
}

// Result is what was written, or would be.
type Result struct {
	Output      string
	Version     pgdata.Version
	SystemID    uint64
	Label       string
	Start       lsn.LSN // where recovery starts
	Timeline    uint32
	Files       int64 // 0 for a dry run
	Bytes       int64 // of those files; 0 for a dry run
	Verified    bool  // all files of backups that have a manifest were compared with it
	Tablespaces []Tablespace
	Duration    time.Duration
}

// Tablespace is where a tablespace went.
type Tablespace struct {
	OID     uint32
	Old     string // "" if it is in place
	New     string // "" in tar format where it was not mapped
	InPlace bool   // inside the data directory
}

// NotEmptyError says that a directory which should be filled holds something.
type NotEmptyError = claim.NotEmptyError

// MethodError says that a method to copy files cannot be used.
type MethodError struct {
	Method Method
	Reason string
}

func (e *MethodError) Error() string {
	return fmt.Sprintf("cannot use %v: %s", e.Method, e.Reason)
}
