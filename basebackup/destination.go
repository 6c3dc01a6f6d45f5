package basebackup

import (
	"io"
	"io/fs"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// Destination is where a backup goes and in which form. One Destination is for
// one Run. Plain, TarDirectory and TarStream make them.
type Destination interface {
	// plain tells whether the archives are taken apart into files.
	plain() bool
	// prepare takes what is needed and can be had before the server is asked
	// for the backup, so that refusals cost nobody a checkpoint.
	prepare(s *site) error
	// begin is told the server's list of tablespaces before the first archive.
	begin(list []replproto.Tablespace) error
	// archive opens the place of the next archive.
	archive(a *replproto.Archive) (stream, error)
	// wal opens the place of the streamed WAL. Where it is part of the same
	// stream as the archives, it is opened after them.
	wal() (walSink, error)
	// manifest opens the place of the manifest, which comes after everything
	// else that arrives on the main connection.
	manifest() (io.WriteCloser, error)
	// finish makes all that has arrived durable. With complete set the backup
	// gets the name under which it is one; without, that name is withheld.
	finish(complete bool) error
	// abort removes what this backup made.
	abort()
}

// site is what a destination must know of the server and of the backup.
type site struct {
	version     replproto.Version
	dirMode     fs.FileMode // 0700 or 0750
	fileMode    fs.FileMode // 0600 or 0640
	segmentSize int64
	// walDirectory is "pg_wal", or "pg_xlog" before 10.
	walDirectory string
	streaming    bool // WAL is streamed
	withManifest bool
	injection    tarstream.Injection // what -R changes in the data directory's archive
	observer     *Observer
	tempDir      string
	// Where the backup starts and stops, as soon as that is known.
	start, stop lsn.LSN
	timeline    uint32 // of start
	// onFile is told the member or file under way.
	onFile func(name string)
}

// stream takes one archive: its bytes as they come (raw), or its members
// (visitor). finish is called when the archive was complete, release in any
// case, after it.
type stream struct {
	path    string // of the file or directory; "" if it has none
	raw     io.Writer
	visitor tarstream.Visitor
	finish  func() error
	release func()
}
