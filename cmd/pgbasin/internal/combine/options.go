package combine

import (
	"math"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/combine"
	"github.com/pgbasin/pgbasin/manifest"
)

// options are what the command line says.
type options struct {
	combine  combine.Options
	output   usage.Optional
	compress usage.Optional
	noSync   bool
	debug    bool
	progress bool
	json     bool
}

// table lists the options. Those of pg_combinebackup 18 come first and in its
// order, which is the order in which complaints about abbreviations name them.
func (o *options) table(dropIn bool) []getopt.Option {
	c := &o.combine
	table := []getopt.Option{
		{Long: "debug", Short: 'd', Set: usage.Flag(&o.debug)},
		{Long: "dry-run", Short: 'n', Set: usage.Flag(&c.DryRun)},
		{Long: "no-sync", Short: 'N', Set: usage.Flag(&o.noSync)},
		{Long: "output", Short: 'o', Arg: true, Set: o.output.Set},
		{Long: "tablespace-mapping", Short: 'T', Arg: true, Set: o.addTablespace},
		{Long: "link", Short: 'k', Set: o.setMethod(combine.Link)},
		{Long: "manifest-checksums", Arg: true, Set: o.setChecksums},
		{Long: "no-manifest", Set: usage.Flag(&c.NoManifest)},
		{Long: "sync-method", Arg: true, Set: usage.SyncMethod(&c.Sync)},
		{Long: "clone", Set: o.setMethod(combine.Clone)},
		{Long: "copy", Set: o.setMethod(combine.Copy)},
		{Long: "copy-file-range", Set: o.setMethod(combine.CopyFileRange)},
	}
	if dropIn {
		return table
	}
	table = append(table,
		getopt.Option{Long: "format", Short: 'F', Arg: true, Set: usage.Format("output", &c.Format, combine.Plain, combine.Tar)},
		getopt.Option{Long: "compress", Short: 'Z', Arg: true, Set: o.compress.Set},
		getopt.Option{Long: "no-verify", Set: usage.Flag(&c.NoVerify)},
		getopt.Option{Long: "progress", Short: 'P', Set: usage.Flag(&o.progress)},
		getopt.Option{Long: "jobs", Short: 'j', Arg: true, Set: o.setJobs},
		getopt.Option{Long: "json", Set: usage.Flag(&o.json)},
	)
	return append(table, usage.HelpAndVersion()...)
}

// parse reads the command line. The error is one that usage.Answered knows.
func parse(args []string, dropIn bool) (*options, error) {
	o := &options{combine: combine.Options{Checksums: manifest.DefaultChecksumAlgorithm}}
	if err := usage.AskedFirst(args); dropIn && err != nil {
		return o, err
	}
	operands, err := getopt.Parse(o.table(dropIn), args)
	switch {
	case err != nil:
		return o, err
	case len(operands) == 0:
		return o, usage.RefuseWithHelp("no input directories specified")
	case !o.output.Given:
		return o, usage.Refuse("no output directory specified")
	case o.output.Text == "":
		// What the system says about nothing.
		return o, usage.Refuse("could not create directory \"\": No such file or directory")
	}
	o.combine.Backups, o.combine.Output = operands, o.output.Text
	if o.noSync {
		o.combine.Sync = combine.NoSync
	}
	return o, o.setCompression()
}

// setCompression reads -Z, which is for tar files.
func (o *options) setCompression() error {
	if !o.compress.Given {
		return nil
	}
	location, algorithm, detail, hasDetail := codec.ParseOption(o.compress.Text)
	if location == codec.Server {
		return usage.Refuse("there is no server that could compress")
	}
	spec, err := codec.ParseSpec(algorithm, "")
	if err == nil && hasDetail {
		spec, err = codec.ParseDetail(spec.Algorithm, detail)
	}
	switch {
	case err != nil:
		return usage.Refuse("%v", err)
	case spec.Algorithm != codec.None && o.combine.Format != combine.Tar:
		return usage.RefuseWithHelp("only tar mode backups can be compressed")
	}
	o.combine.Compression = spec
	return nil
}

func (o *options) addTablespace(v string) error {
	from, to, err := usage.ParseMapping(v)
	o.combine.Tablespaces = append(o.combine.Tablespaces, combine.Mapping{Old: from, New: to})
	return err
}

func (o *options) setMethod(m combine.Method) func(string) error {
	return func(string) error {
		o.combine.Method = m
		return nil
	}
}

func (o *options) setChecksums(v string) (err error) {
	o.combine.Checksums, err = manifest.ParseChecksumAlgorithm(v)
	return err
}

func (o *options) setJobs(v string) (err error) {
	o.combine.Jobs, err = usage.ParseInt(v, "-j/--jobs", 1, math.MaxInt8)
	return err
}
