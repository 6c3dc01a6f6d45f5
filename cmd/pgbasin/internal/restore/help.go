package restore

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

func help(p *program.Program) string {
	return strings.NewReplacer("{call}", p.Call, "{home}", program.Home, "{recovery}", RecoveryHelp).Replace(helpText)
}

// RecoveryHelp is the part of --help for RecoveryOptions.
const RecoveryHelp = `Options controlling recovery (without any, the WAL in the backup is replayed):
      --target-time=TIMESTAMP
                         recover up to this time
      --target-lsn=LSN   recover up to this WAL position (PostgreSQL 10 or newer)
      --target-xid=XID   recover up to this transaction
      --target-name=NAME recover up to this restore point
      --target-immediate recover until the backup is consistent and no further
      --target-exclusive stop just before the target, not just after it
      --target-timeline=TIMELINE
                         recover along this timeline: a number, "latest", or
                         (PostgreSQL 12 or newer) "current"
      --target-action=ACTION
                         what to do at the target: promote (default), pause,
                         shutdown
      --standby          follow a primary server or a WAL archive
      --primary-conninfo=CONNSTR
                         connection string of the primary server
      --primary-slot=SLOTNAME
                         replication slot on the primary server
      --restore-command=COMMAND
                         shell command that brings a WAL file
      --wal-archive=DIR  take WAL from this directory, with "pgbasin wal-fetch"
      --set=NAME=VALUE   add a setting to the configuration

Options controlling how the backup is read:
      --no-verify        do not compare the files with the manifest
  -j, --jobs=NUM         read so many archives at a time (default: one for each
                         processor)
`

const helpText = `{call} lays out a data directory from a base backup.

Usage:
  {call} [OPTION]... -D DATADIR BACKUP [INCREMENTAL]...
  {call} [OPTION]... --only=PATH -D DIRECTORY BACKUP

BACKUP is a directory of tar files, a data directory in plain format, a tar file,
or - for a tar file on standard input. Incremental backups follow the full one
that they build on, oldest first: the last of them is restored.

Options controlling the output:
  -D, --pgdata=DIRECTORY restore into this directory
  -T, --tablespace-mapping=OLDDIR=NEWDIR
                         relocate tablespace in OLDDIR to NEWDIR; OLDDIR may be
                         the tablespace's OID
      --waldir=WALDIR    location for the write-ahead log directory
      --dry-run          show what would be done, and do nothing

Options for single files of a full backup:
      --only=PATH        restore only this file, or this directory with all that
                         is in it, by its path in the data directory, such as
                         global/pg_control, base/5 or pg_tblspc/16385; may be
                         given several times. What comes out is not a data
                         directory that can be started.

{recovery}
General options:
      --json             print the result as one line of JSON
  -n, --no-clean         do not clean up after errors
  -N, --no-sync          do not wait for changes to be written safely to disk
  -P, --progress         show progress information
      --sync-method=METHOD
                         set method for syncing files to disk (fsync, syncfs)
  -v, --verbose          output verbose messages
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

pgbasin home page: <{home}>
`
