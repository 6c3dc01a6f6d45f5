package backup

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// help is the text of --help. What differs between the names is put in.
func help(p *program.Program) string {
	beyond := ownHelp
	if p.DropIn {
		beyond = dropInHelp
	}
	text := strings.Replace(helpText, "{beyond}", beyond, 1)
	return strings.NewReplacer("{call}", p.Call, "{home}", program.Home).Replace(text)
}

const helpText = `{call} takes a base backup of a running PostgreSQL server.

Usage:
  {call} [OPTION]...

Options controlling the output:
  -D, --pgdata=DIRECTORY receive base backup into directory
  -F, --format=p|t       output format (plain (default), tar)
  -i, --incremental=OLDMANIFEST
                         take incremental backup
  -r, --max-rate=RATE    maximum transfer rate to transfer data directory
                         (in kB/s, or use suffix "k" or "M")
  -R, --write-recovery-conf
                         write configuration for replication
  -t, --target=TARGET[:DETAIL]
                         backup target (if other than client)
  -T, --tablespace-mapping=OLDDIR=NEWDIR
                         relocate tablespace in OLDDIR to NEWDIR
      --waldir=WALDIR    location for the write-ahead log directory
  -X, --wal-method=none|fetch|stream
                         include required WAL files with specified method
  -z, --gzip             compress tar output
  -Z, --compress=[{client|server}-]METHOD[:DETAIL]
                         compress on client or server as specified
  -Z, --compress=none    do not compress tar output

General options:
  -c, --checkpoint=fast|spread
                         set fast or spread (default) checkpointing
  -C, --create-slot      create replication slot
  -l, --label=LABEL      set backup label
  -n, --no-clean         do not clean up after errors
  -N, --no-sync          do not wait for changes to be written safely to disk
  -P, --progress         show progress information
  -S, --slot=SLOTNAME    replication slot to use
  -v, --verbose          output verbose messages
  -V, --version          output version information, then exit
      --manifest-checksums=SHA{224,256,384,512}|CRC32C|NONE
                         use algorithm for manifest checksums
      --manifest-force-encode
                         hex encode all file names in manifest
      --no-estimate-size do not estimate backup size in server side
      --no-manifest      suppress generation of backup manifest
      --no-slot          prevent creation of temporary replication slot
      --no-verify-checksums
                         do not verify checksums
      --sync-method=METHOD
                         set method for syncing files to disk
  -?, --help             show this help, then exit

Connection options:
  -d, --dbname=CONNSTR   connection string
  -h, --host=HOSTNAME    database server host or socket directory
  -p, --port=PORT        database server port number
  -s, --status-interval=INTERVAL
                         time between status packets sent to server (in seconds)
  -U, --username=NAME    connect as specified database user
  -w, --no-password      never prompt for password
  -W, --password         force password prompt (should happen automatically)

{beyond}
pgbasin home page: <{home}>
`

const ownHelp = `Beyond pg_basebackup:
      --json             print the result, or the error, as one JSON object on
                         standard output (on standard error with -D -)
      --no-verify        do not compare the files that arrive with the manifest
      --resume           go on with the backup that was broken off in DIRECTORY
      --retries=N        attempts to go on after a lost connection, one after the
                         other in vain (as many as fit into 10 minutes)
      --server-timeout=SECS
                         give up when the server owes an answer and is silent
                         for so long (default: 600; 0 waits for ever)
  -Ft -D - works with -X stream, too: the WAL follows in the same tar.
  -x, --xlog, --xlog-method and --xlogdir of pg_basebackup 9.x are accepted.
`

const dropInHelp = `This is pgbasin in place of PostgreSQL's {call}. Beyond that:
      --json             print the result, or the error, as one JSON object on
                         standard output (on standard error with -D -)
      --server-timeout=SECS
                         give up when the server owes an answer and is silent
                         for so long (default: 600; 0 waits for ever)
  -Ft -D - works with -X stream, too: the WAL follows in the same tar.
  -x, --xlog, --xlog-method and --xlogdir of 9.x are accepted.
  Files are compared with the manifest as they arrive ("pgbasin backup" has
  --no-verify).
`
