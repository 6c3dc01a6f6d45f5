package walfiles

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

func expand(text string, p *program.Program) string {
	return strings.NewReplacer("{call}", p.Call, "{home}", program.Home).Replace(text)
}

const pushHelp = `{call} puts a WAL file into an archive, as a server's archive_command.

Usage:
  {call} [OPTION]... --to=DIR PATH

Options:
      --to=DIR           the archive, a directory that exists
  -Z, --compress=METHOD[:DETAIL]
                         compress segments as specified (gzip, lz4, zstd, none);
                         with one processor unless DETAIL has workers=N
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

PATH is a segment, a timeline history or a backup history file, as the server
gives it for %p:

  archive_command = '/usr/bin/pgbasin wal-push --to=/archive %p'

The file is there, on stable storage and under its name, or it is not there at
all. It may be there before, with the same content. With other content it stays
as it is, and the command fails, as it does for a segment that is damaged.

Exit status: 0 the archive has the file, 1 the server has to try again.

pgbasin home page: <{home}>
`

const fetchHelp = `{call} takes a WAL file out of an archive, as a server's restore_command.

Usage:
  {call} [OPTION]... --from=DIR NAME PATH

Options:
      --from=DIR         the archive
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

NAME and PATH are what the server gives for %f and %p:

  restore_command = '/usr/bin/pgbasin wal-fetch --from=/archive %f %p'

The archive is one that pgbasin wal-push, pgbasin receive, pg_receivewal or cp has
filled. A segment may be plain or compressed (.gz, .lz4, .zst). What there is of
it as NAME.partial is taken if there is nothing else, and filled up with zeroes.
PATH may be a full path, too. It may not have ".." in it, and what is there may
be nothing but a file, which is replaced.

Exit status: 0 the file is at PATH; 1 the archive does not have it, without a
message. Others make the server stop, instead of ending recovery there:
200 wrong arguments, 201 the archive cannot be reached, 202 the file is corrupt,
203 another failure, 128+N signal N. In standby mode a plain file that is too short
counts as not being there yet.

pgbasin home page: <{home}>
`
