package basebackup

import (
	"context"
	"io"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// WALMethod says how the WAL that the backup needs comes into it.
type WALMethod int

const (
	WALStream WALMethod = iota // over a second connection, while the backup runs
	WALFetch                   // in the archive, at the end of the backup
	WALNone                    // not at all: it must be kept elsewhere
)

// Options are what a backup is asked for. The zero value but for Connect takes
// a full backup with its WAL streamed beside it, verified on arrival.
type Options struct {
	// Connect opens a replication connection. It is called once, and once more
	// for the WAL stream. Run closes what it opens. How long a server may be silent
	// is the connection's ServerTimeout. Its checkpoint may take longer: then the
	// WAL stream's connection tells whether the server is there.
	Connect func(ctx context.Context) (*replproto.Conn, error)

	// PreviousManifest, if set, makes the backup incremental (17 and later, of a
	// server with summarize_wal on): it holds what changed since the backup of which
	// this opens the manifest. It is called once, after Connect; Run closes what it
	// returns, and reads it twice if it is an io.Seeker that can seek, else once, by
	// way of a file in TempDir.
	PreviousManifest func() (io.ReadCloser, error)

	Label          string // "" = "pgbasin base backup"
	FastCheckpoint bool   // do not spread the checkpoint that the backup starts with

	WAL WALMethod
	// Slot is the replication slot of the WAL stream. "" makes a temporary one
	// that goes with the connection (10 and later), unless NoSlot is set.
	Slot       string
	CreateSlot bool // create Slot first; it stays after the backup
	NoSlot     bool
	// StatusInterval is how often the WAL stream reports its position: 0 is every
	// 10 seconds, as pg_basebackup does it, and less than 0 only when the server
	// asks. Then a disk that is slow for a minute can cost the connection.
	StatusInterval time.Duration

	MaxRate             int // kB/s, 32 to 1048576; 0 = no limit
	NoEstimateSize      bool
	NoManifest          bool   // servers before 13 have none in any case
	ManifestChecksums   string // as MANIFEST_CHECKSUMS; "" = the server's default, CRC32C
	ManifestForceEncode bool
	NoVerifyChecksums   bool // the page checksums that the server verifies while it reads
	// NoVerify leaves out the comparison of what arrived with the manifest.
	NoVerify bool

	// Target is where the server is to store the backup by itself: "server" or
	// "blackhole" (15 and later); "" sends it here. With a target the
	// destination must be nil.
	Target       string
	TargetDetail string

	ServerCompression       string // "gzip", "lz4", "zstd" as the server knows them; "" = none
	ServerCompressionDetail string

	// PrimaryConnInfo, if set, makes the backup start as a standby, of Slot if
	// there is one. It is called after Connect and returns a libpq connection
	// string for the standby.
	PrimaryConnInfo func(v replproto.Version) string

	// Resumable makes a plain backup one that goes on when its connections are lost, if
	// it is of a server of 17 or later with summarize_wal on, has a manifest with
	// checksums, and is verified: it keeps a journal of what has arrived in the data
	// directory (JournalName), calls Connect again for each attempt, and has the server
	// send what is missing and what was changed meanwhile. Other backups end when a connection is
	// lost, as without it.
	//
	// What arrived before a connection was lost is not compared with a manifest, as the
	// server's did not come; its checksums in the backup's manifest are of what arrived.
	//
	// When no attempt is left, the directories stay as they are if something is in the
	// journal, and the error is a *ResumableError.
	Resumable bool
	// Retries is how many attempts, one after the other and without anything that
	// arrived in between, are made to go on; 0 is as many as fit into 10 minutes, and
	// less than 0 is none. Between them are 1, 2, 4, ... and at the most 30 seconds.
	Retries int
	// Resume goes on with what an earlier Run with Resumable has left in the
	// destination, which must be of the same server. Other options should be the same.
	// Tablespaces and the WAL directory need not be named again. What cannot be gone
	// on with is a *ResumeError. Whatever the error, what is there is not removed.
	Resume bool

	// TempDir is for what must be put aside until the end of the backup; ""
	// means the system's. Its files are gone when Run returns.
	TempDir string

	Observer Observer
}

// StepCheckpoint is what Observer.Info gets when the server is asked for the
// backup. Until the next step the server is at its checkpoint, which may take
// minutes unless Options.FastCheckpoint is set.
const StepCheckpoint = "initiating base backup, waiting for checkpoint to complete"

// Observer is told what happens. Any of its functions may be nil; Notice and
// Warning may be called from several goroutines at once.
type Observer struct {
	// Info gets the steps of the backup, in pg_basebackup's words.
	Info func(message string)
	// Warning gets what is no error and yet should be seen.
	Warning func(message string)
	// Notice gets what the server says beside its answers.
	Notice func(*replproto.Notice)
	// Retry gets what is done about a connection that was lost (Options.Resumable), and
	// the error that was its end; nil when it tells what an attempt goes on with.
	Retry func(message string, err error)
	// Cleanup gets what is removed or left behind after a failure.
	Cleanup func(message string)
	// Progress is called with every piece of data; it should return at once
	// unless it is time to show something.
	Progress func(Progress)
}

// Progress is how far a backup is.
type Progress struct {
	Done  int64 // bytes processed, uncompressed, as far as known
	Total int64 // the server's estimate in bytes; 0 = unknown
	// Tablespace counts the archives that are complete, of Tablespaces.
	Tablespace  int
	Tablespaces int
	File        string // the member or file under way; "" = none
	// Milestone is set where pg_basebackup reports in any case: at the end of a
	// tablespace, when the server has reported, at the end.
	Milestone bool
	Finished  bool // the last call: all data has arrived
}

// Result is what came of a backup.
type Result struct {
	SystemID      uint64
	ServerVersion string
	Label         string
	Timeline      uint32 // of the start point
	Start         lsn.LSN
	Stop          lsn.LSN // WAL is needed up to here
	StopTimeline  uint32
	Duration      time.Duration
	// Bytes is the size of the archives and the manifest as received, WALBytes
	// of the streamed WAL; in the last attempt, if there were several.
	Bytes       int64
	WALBytes    int64
	Files       int64 // regular files in the archives; 0 if they were not looked into
	Tablespaces []TablespaceResult
	// Attempts is how many were needed, with those of the runs before (Options.Resume),
	// and Kept the size, in bytes, of the files that earlier ones than the last had brought.
	Attempts int
	Kept     int64
	Manifest bool // the backup has a manifest

	Incremental bool
	// From and FromTimeline are where the backup that an incremental one builds on
	// started. They are 0 where the archives were not looked into: with a Target, and
	// with NoVerify when the server compressed them.
	From         lsn.LSN
	FromTimeline uint32

	// Verified: the size and checksum of every file that came, in the last attempt if
	// there were several, agreed with the manifest, and the manifest's own checksum
	// was right.
	Verified bool
}

// TablespaceResult is one archive of a backup.
type TablespaceResult struct {
	OID      uint32 // 0 = the data directory
	Location string // on the server; "" for the data directory
	Path     string // where it was put; "" if not here
	Bytes    int64  // of the archive as received
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

func (o *Observer) retry(message string, err error) {
	if o.Retry != nil {
		o.Retry(message, err)
	}
}

func (o *Observer) cleanup(message string) {
	if o.Cleanup != nil {
		o.Cleanup(message)
	}
}

// statusInterval is StatusInterval as walstream has it.
func (o *Options) statusInterval() time.Duration {
	switch {
	case o.StatusInterval == 0:
		return defaultStatusInterval
	case o.StatusInterval < 0:
		return 0
	}
	return o.StatusInterval
}

const defaultStatusInterval = 10 * time.Second
