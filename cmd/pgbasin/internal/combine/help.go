package combine

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// help is the text of --help. What differs between the names is put in.
func help(p *program.Program) string {
	operand, beyond := "BACKUP...", ownHelp
	if p.DropIn {
		operand, beyond = "DIRECTORY...", dropInHelp
	}
	return strings.NewReplacer("{operand}", operand, "{beyond}", strings.NewReplacer("{call}", p.Call).Replace(beyond),
		"{call}", p.Call, "{home}", program.Home).Replace(helpText)
}

const helpText = `{call} reconstructs full backups from incrementals.

Usage:
  {call} [OPTION]... {operand}

Options:
  -d, --debug               generate lots of debugging output
  -k, --link                link files instead of copying
  -n, --dry-run             do not actually do anything
  -N, --no-sync             do not wait for changes to be written safely to disk
  -o, --output=DIRECTORY    output directory
  -T, --tablespace-mapping=OLDDIR=NEWDIR
                            relocate tablespace in OLDDIR to NEWDIR
      --clone               clone (reflink) files instead of copying
      --copy                copy files (default)
      --copy-file-range     copy using copy_file_range() system call
      --manifest-checksums=SHA{224,256,384,512}|CRC32C|NONE
                            use algorithm for manifest checksums
      --no-manifest         suppress generation of backup manifest
      --sync-method=METHOD  set method for syncing files to disk
  -V, --version             output version information, then exit
  -?, --help                show this help, then exit

{beyond}
pgbasin home page: <{home}>
`

const ownHelp = `Beyond pg_combinebackup:
  -F, --format=p|t          output format (plain (default), tar)
  -Z, --compress=METHOD[:DETAIL]
                            compress tar output with this method
  -j, --jobs=NUMBER         work on so many files at a time (all processors)
      --json                print the result as one JSON object
      --no-verify           do not compare the backups with their manifests
  -P, --progress            show progress information
  A BACKUP, the full one first, is a data directory, a directory of tar files, or
  one tar file, with any compression. All files are compared with the manifests.
`

const dropInHelp = `This is pgbasin in place of PostgreSQL's {call}. Beyond that:
  A DIRECTORY may hold tar files, with any compression, and all files are compared
  with the manifests.
  "pgbasin combine" has more options.
`
