package verify

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

const helpText = `{call} verifies a backup against the backup manifest.

Usage:
  {call} [OPTION]... BACKUPDIR

Options:
  -e, --exit-on-error         exit immediately on error
  -F, --format=p|t            backup format (plain, tar)
  -i, --ignore=RELATIVE_PATH  ignore indicated path
  -m, --manifest-path=PATH    use specified path for manifest
  -n, --no-parse-wal          do not try to parse WAL files
  -P, --progress              show progress information
  -q, --quiet                 do not print any output, except for errors
  -s, --skip-checksums        skip checksum verification
  -w, --wal-directory=PATH    use specified path for WAL files
  -V, --version               output version information, then exit
  -?, --help                  show this help, then exit

{beyond}
pgbasin home page: <{home}>
`

const ownHelp = `Beyond pg_verifybackup:
      --checksums             also check the data checksum of every page
  -j, --jobs=NUMBER           read so many files at a time (all processors)
      --json                  print the result as one JSON object
  WAL is read without pg_waldump: in tar format, too, and with -w from an archive
  of compressed segments.
`

const dropInHelp = `This is pgbasin in place of PostgreSQL's {call}. Beyond that:
  WAL is read without pg_waldump: in tar format, too, and with -w from an archive
  of compressed segments.
  "pgbasin verify" has more options.
`
