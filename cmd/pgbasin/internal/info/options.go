package info

import (
	"errors"

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

// errHelp and errVersion end the parsing of a command line that asks for one of
// these.
var (
	errHelp    = errors.New("help is wanted")
	errVersion = errors.New("the version is wanted")
)

func (o *options) table() []getopt.Option {
	flag := func(b *bool) func(string) error {
		return func(string) error { *b = true; return nil }
	}
	info := func(err error) func(string) error { return func(string) error { return err } }
	return []getopt.Option{
		{Long: "help", Short: '?', Set: info(errHelp)},
		{Long: "version", Short: 'V', Set: info(errVersion)},
		{Long: "wal-archive", Arg: true, Set: o.walArchive.Set},
		{Long: "progress", Short: 'P', Set: flag(&o.progress)},
		{Long: "json", Set: flag(&o.json)},
	}
}

// parse reads the command line. The error is one that usage.Print knows, errHelp
// or errVersion.
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
