package info

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

func help(p *program.Program) string {
	return strings.NewReplacer("{call}", p.Call, "{home}", program.Home).Replace(helpText)
}

const helpText = `{call} shows what a stored base backup is, and what one can recover to.

Usage:
  {call} [OPTION]... BACKUP
  {call} [OPTION]... DIRECTORY

BACKUP is a directory of tar files, a data directory in plain format, a tar file,
or - for a tar file on standard input. Of a DIRECTORY that has backups in it,
there is one line for each, in the order in which they were started. What an
incremental backup builds on is looked for beside it.

Options:
      --json             print the result as one line of JSON
  -P, --progress         show progress information
      --wal-archive=DIR  read the WAL of this archive from the start of the backup
                         on, and show the window that one can recover to
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

The exit status is 0 also when a backup is found to be broken or incomplete, and
1 when something cannot be read or is no backup. Checksums are not compared:
that is what "pgbasin verify" does.

pgbasin home page: <{home}>
`
