//go:build linux || darwin

// Bench compares pgbasin with the programs that it replaces, and with tar, zstd
// and cp, on servers that it makes and fills with always the same data. What it
// prints is a Markdown document, which says on what machine the figures were had.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
)

// mb is what sizes are given in on the command line.
const mb = 1 << 20

// options say what is measured, and where.
type options struct {
	pgbasin string         // the program
	dir     string         // where the backups go
	output  string         // where the document goes beside standard output; "" is nowhere
	size    int64          // of the databases, in bytes
	small   int64          // of those that peak memory is measured with first
	top     int64          // of those that peak memory is compared with
	files   int            // of the server with many files
	pairs   int            // runs of each program in each row
	seconds int            // of a run of pgbench
	rows    *regexp.Regexp // of the names of rows
	quick   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{size: 2048, small: 100 * mb, files: 100000, pairs: 5, seconds: 10}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "a smoke run: small data and few, short runs, unless other options say so")
	f.Int64Var(&o.size, "size", o.size, "size of the databases in `MB`; with -quick 64")
	f.IntVar(&o.files, "files", o.files, "files of the server with many small ones; with -quick 2000")
	f.IntVar(&o.pairs, "pairs", o.pairs, "how often each program runs in each row, after one run that does not count; with -quick 2")
	f.IntVar(&o.seconds, "seconds", o.seconds, "length of a run of pgbench; with -quick 1")
	large := f.Bool("large", false, "measure peak memory with 10 GB instead of -size, too")
	rows := f.String("rows", "", "measure the rows whose names match a regular `expression`")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where to make the directory for the backups")
	f.StringVar(&o.pgbasin, "pgbasin", "bin/pgbasin", "the program to measure")
	f.StringVar(&o.output, "o", "", "write the document to a `file`, too")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		o.hurry(f)
	}
	if o.size < 1 || o.files < 1 || o.pairs < 1 || o.seconds < 1 {
		return nil, errors.New("-size, -files, -pairs and -seconds must be above 0")
	}
	o.size *= mb
	o.small = min(o.small, o.size)
	o.top = o.size
	if *large {
		o.top = 10 << 30
	}
	var err error
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	return o, nil
}

// hurry sets what was not given on the command line so that all takes a minute.
func (o *options) hurry(f *flag.FlagSet) {
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, quick := range []struct {
		name string
		set  func()
	}{
		{"size", func() { o.size = 64 }},
		{"files", func() { o.files = 2000 }},
		{"pairs", func() { o.pairs = 2 }},
		{"seconds", func() { o.seconds = 1 }},
	} {
		if !given[quick.name] {
			quick.set()
		}
	}
	o.small = min(o.small, 16*mb)
}

// command is a command line that measures the same, without the places of this
// machine.
func (o *options) command() string {
	c := fmt.Sprintf("go run ./e2e/bench -size %d -files %d -pairs %d -seconds %d", o.size/mb, o.files, o.pairs, o.seconds)
	if o.quick {
		c = strings.Replace(c, " -size", " -quick -size", 1)
	}
	if o.top != o.size {
		c += " -large"
	}
	if o.rows.String() != "" {
		c += fmt.Sprintf(" -rows '%s'", o.rows)
	}
	return c
}
