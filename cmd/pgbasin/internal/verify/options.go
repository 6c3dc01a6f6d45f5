package verify

import (
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

// table lists the options. Those of pg_verifybackup 18 come first and in its
// order, which is the order in which complaints about abbreviations name them.
func (o *options) table(dropIn bool) []getopt.Option {
	v := &o.verify
	table := []getopt.Option{
		{Long: "exit-on-error", Short: 'e', Set: usage.Flag(&v.ExitOnError)},
		{Long: "ignore", Short: 'i', Arg: true, Set: o.addIgnored},
		{Long: "manifest-path", Short: 'm', Arg: true, Set: o.manifest.Set},
		{Long: "format", Short: 'F', Arg: true, Set: usage.Format("backup", &o.verify.Format, verify.Plain, verify.Tar)},
		{Long: "no-parse-wal", Short: 'n', Set: usage.Flag(&v.NoParseWAL)},
		{Long: "progress", Short: 'P', Set: usage.Flag(&o.progress)},
		{Long: "quiet", Short: 'q', Set: usage.Flag(&o.quiet)},
		{Long: "skip-checksums", Short: 's', Set: usage.Flag(&v.SkipChecksums)},
		{Long: "wal-directory", Short: 'w', Arg: true, Set: o.wal.Set},
	}
	if dropIn {
		return table
	}
	table = append(table,
		getopt.Option{Long: "checksums", Set: usage.Flag(&v.PageChecksums)},
		getopt.Option{Long: "jobs", Short: 'j', Arg: true, Set: o.setJobs},
		getopt.Option{Long: "json", Set: usage.Flag(&o.json)},
	)
	return append(table, usage.HelpAndVersion()...)
}

// parse reads the command line. The error is one that usage.Answered knows.
func parse(args []string, dropIn bool) (*options, error) {
	o := &options{}
	if err := usage.AskedFirst(args); dropIn && err != nil {
		return o, err
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

func (o *options) setJobs(v string) (err error) {
	o.verify.Jobs, err = usage.ParseInt(v, "-j/--jobs", 1, math.MaxInt16)
	return err
}
