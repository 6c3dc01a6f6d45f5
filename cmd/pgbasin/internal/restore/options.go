package restore

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/restore"
)

// options are what the command line says.
type options struct {
	backup      string
	increments  []string // the incremental backups that follow it
	directory   usage.Optional
	waldir      usage.Optional
	tablespaces []restore.Mapping
	noSync      bool
	syncBy      restore.SyncMethod
	noClean     bool
	dryRun      bool
	progress    bool
	verbose     bool
	json        bool

	only   []string // names of files and directories; none = all of the backup
	others []string // options that were given and that --only cannot go with

	Recovery RecoveryOptions
}

func (o *options) table() []getopt.Option {
	table := append(usage.HelpAndVersion(), []getopt.Option{
		{Long: "pgdata", Short: 'D', Arg: true, Set: o.directory.Set},
		{Long: "waldir", Arg: true, Set: o.waldir.Set},
		{Long: "tablespace-mapping", Short: 'T', Arg: true, Set: o.addTablespace},
		{Long: "no-clean", Short: 'n', Set: usage.Flag(&o.noClean)},
		{Long: "no-sync", Short: 'N', Set: usage.Flag(&o.noSync)},
		{Long: "sync-method", Arg: true, Set: usage.SyncMethod(&o.syncBy)},
		{Long: "dry-run", Set: usage.Flag(&o.dryRun)},
		{Long: "progress", Short: 'P', Set: usage.Flag(&o.progress)},
		{Long: "verbose", Short: 'v', Set: usage.Flag(&o.verbose)},
		{Long: "json", Set: usage.Flag(&o.json)},
		{Long: "only", Arg: true, Set: o.addOnly},
	}...)
	table = append(table, o.Recovery.Table()...)
	for i := range table {
		o.noteOther(&table[i])
	}
	return table
}

// parse reads the command line. The error is one that usage.Answered knows.
func parse(args []string) (*options, error) {
	o := new(options)
	operands, err := getopt.Parse(o.table(), args)
	if err != nil {
		return o, err
	}
	if len(operands) == 0 {
		return o, usage.RefuseWithHelp("no backup specified")
	}
	o.backup, o.increments = operands[0], operands[1:]
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.backup == "" || slices.Contains(o.increments, ""):
		return usage.RefuseWithHelp("no backup specified")
	case !o.directory.Given || o.directory.Text == "":
		return usage.RefuseWithHelp("no target directory specified")
	case o.waldir.Given && !usage.AbsolutePath(o.waldir.Text):
		return usage.RefuseWithHelp("WAL directory location must be an absolute path")
	}
	if err := o.checkOnly(); err != nil {
		return err
	}
	return o.Recovery.Check()
}

// addTablespace takes OLDDIR=NEWDIR, or OID=NEWDIR for what has no known place.
func (o *options) addTablespace(v string) error {
	oid, dir, ok := strings.Cut(v, "=")
	if ok && oid != "" && strings.Trim(oid, "0123456789") == "" {
		if !usage.AbsolutePath(dir) {
			return usage.Refuse("new directory is not an absolute path in tablespace mapping: %s", dir)
		}
		o.tablespaces = append(o.tablespaces, restore.Mapping{Old: oid, New: filepath.Clean(dir)})
		return nil
	}
	from, to, err := usage.ParseMapping(v)
	o.tablespaces = append(o.tablespaces, restore.Mapping{Old: from, New: to})
	return err
}
