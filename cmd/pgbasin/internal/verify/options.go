package verify

import (
	"errors"
	"math"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/verify"
)

// options are what the command line says.
type options struct {
	verify   verify.Options
	manifest usage.Optional
	wal      usage.Optional
	progress bool
	quiet    bool
	json     bool
}

// errHelp and errVersion end the parsing of a command line that asks for one of
// these.
var (
	errHelp    = errors.New("help is wanted")
	errVersion = errors.New("the version is wanted")
)

// table lists the options. Those of pg_verifybackup 18 come first and in its
// order, which is the order in which complaints about abbreviations name them.
func (o *options) table(dropIn bool) []getopt.Option {
	flag := func(b *bool) func(string) error {
		return func(string) error { *b = true; return nil }
	}
	info := func(err error) func(string) error {
		return func(string) error { return err }
	}
	v := &o.verify
	table := []getopt.Option{
		{Long: "exit-on-error", Short: 'e', Set: flag(&v.ExitOnError)},
		{Long: "ignore", Short: 'i', Arg: true, Set: o.addIgnored},
		{Long: "manifest-path", Short: 'm', Arg: true, Set: o.manifest.Set},
		{Long: "format", Short: 'F', Arg: true, Set: o.setFormat},
		{Long: "no-parse-wal", Short: 'n', Set: flag(&v.NoParseWAL)},
		{Long: "progress", Short: 'P', Set: flag(&o.progress)},
		{Long: "quiet", Short: 'q', Set: flag(&o.quiet)},
		{Long: "skip-checksums", Short: 's', Set: flag(&v.SkipChecksums)},
		{Long: "wal-directory", Short: 'w', Arg: true, Set: o.wal.Set},
	}
	if dropIn {
		return table
	}
	return append(table,
		getopt.Option{Long: "checksums", Set: flag(&v.PageChecksums)},
		getopt.Option{Long: "jobs", Short: 'j', Arg: true, Set: o.setJobs},
		getopt.Option{Long: "json", Set: flag(&o.json)},
		getopt.Option{Long: "help", Short: '?', Set: info(errHelp)},
		getopt.Option{Long: "version", Short: 'V', Set: info(errVersion)},
	)
}

// parse reads the command line. The error is one that usage.Print knows, errHelp
// or errVersion.
func parse(args []string, dropIn bool) (*options, error) {
	o := &options{}
	if dropIn && len(args) > 0 {
		switch args[0] {
		case "--help", "-?":
			return o, errHelp
		case "--version", "-V":
			return o, errVersion
		}
	}
	operands, err := getopt.Parse(o.table(dropIn), args)
	switch {
	case err != nil:
		return o, err
	case len(operands) == 0:
		return o, usage.RefuseWithHelp("no backup directory specified")
	case len(operands) > 1:
		return o, usage.RefuseWithHelp("too many command-line arguments (first is \"%s\")", operands[1])
	case o.progress && o.quiet:
		return o, usage.Refuse("cannot specify both %s and %s", "-P/--progress", "-q/--quiet")
	}
	o.verify.Path, o.verify.ManifestPath, o.verify.WALDirectory = operands[0], o.manifest.Text, o.wal.Text
	// What the system says about nothing.
	switch {
	case o.manifest.Given && o.manifest.Text == "":
		return o, usage.Refuse("could not open file \"\": No such file or directory")
	case o.wal.Given && o.wal.Text == "":
		return o, usage.Refuse("could not open directory \"\": No such file or directory")
	}
	return o, nil
}

func (o *options) addIgnored(v string) error {
	o.verify.Ignore = append(o.verify.Ignore, v)
	return nil
}

func (o *options) setFormat(v string) error {
	switch v {
	case "p", "plain":
		o.verify.Format = verify.Plain
	case "t", "tar":
		o.verify.Format = verify.Tar
	default:
		return usage.Refuse("invalid backup format \"%s\", must be \"plain\" or \"tar\"", v)
	}
	return nil
}

func (o *options) setJobs(v string) (err error) {
	o.verify.Jobs, err = usage.ParseInt(v, "-j/--jobs", 1, math.MaxInt16)
	return err
}
