package info

import (
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
)

// options are what the command line says.
type options struct {
	path       string
	walArchive usage.Optional
	progress   bool
	json       bool
}

func (o *options) table() []getopt.Option {
	return append(usage.HelpAndVersion(), []getopt.Option{
		{Long: "wal-archive", Arg: true, Set: o.walArchive.Set},
		{Long: "progress", Short: 'P', Set: usage.Flag(&o.progress)},
		{Long: "json", Set: usage.Flag(&o.json)},
	}...)
}

// parse reads the command line. The error is one that usage.Answered knows.
func parse(args []string) (*options, error) {
	o := new(options)
	operands, err := getopt.Parse(o.table(), args)
	if err != nil {
		return o, err
	}
	switch {
	case len(operands) == 0 || operands[0] == "":
		return o, usage.RefuseWithHelp("no backup specified")
	case len(operands) > 1:
		return o, usage.RefuseWithHelp("too many command-line arguments (first is \"%s\")", operands[1])
	case o.walArchive.Given && o.walArchive.Text == "":
		return o, usage.RefuseWithHelp("no WAL archive specified")
	}
	o.path = operands[0]
	return o, nil
}
