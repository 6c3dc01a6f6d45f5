package prove

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/restore"
)

func help(p *program.Program) string {
	return strings.NewReplacer("{call}", p.Call, "{home}", program.Home, "{recovery}", restore.RecoveryHelp).Replace(helpText)
}

const helpText = `{call} restores a base backup, starts a server on it, and checks its data.

Usage:
  {call} [OPTION]... BACKUP [INCREMENTAL]...

BACKUP is a directory of tar files, a data directory in plain format, a tar file,
or - for a tar file on standard input. Incremental backups follow the full one
that they build on, oldest first. It is restored into a scratch directory, which
is removed at the end. Nothing else can reach the server that is started there,
and it reaches nothing. The exit status is 0 if everything held, else 1.

Options controlling the checks (that the server recovers is always checked):
      --amcheck          check every B-tree index and, from 14 on, every table
      --dump             read every row of every table in every database
      --checksums        check the checksum of every page
      --sql=FILE         run the SQL commands in FILE; an error is a failure
      --assert=SQL       run SQL, whose result must be true
  -d, --dbname=DBNAME    database for the --sql and --assert after this option
                         (default: postgres)

Options controlling the server:
      --bindir=DIR       directory of the server's programs (default: looked for
                         where packages put them, and in PATH)
      --run-as=USER      user that the server runs as, if this is root (default:
                         postgres)
  -U, --username=NAME    superuser of the cluster to connect as (default: found)
      --scratch=DIR      make the scratch directory in this one
      --keep             stop the server, but leave the scratch directory
      --timeout=TIME     give up after this time, such as 90s, 30m or 2h
                         (default: 1h)

Options controlling the output:
      --json             print the report as one line of JSON
      --junit=FILE       write a report for CI systems, one test case per check
  -P, --progress         show progress information of the restore
  -v, --verbose          output verbose messages
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

{recovery}
A server that never ends its recovery cannot be checked: --standby, --primary-conninfo,
--primary-slot and actions other than promote are refused.

pgbasin home page: <{home}>
`
