//go:build linux || darwin

// Bench compares pgbasin with the installed pg_basebackup: both take the same
// backups of the same server in turns, and the medians and ratios are printed
// beside the goals. A missed goal is marked. It is no failure, because it may
// say more about what else the machine did than about the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

const (
	// major is the version of the server and of the reference.
	major = 15
	// mb is what sizes are given in on the command line.
	mb = 1 << 20
)

// options say what is measured, and where.
type options struct {
	pgbasin string         // the program
	dir     string         // where the backups go
	size    int64          // of the database, in bytes
	small   int64          // of the one that peak memory is compared with
	pairs   int            // runs of each program in each row
	rows    *regexp.Regexp // of the names of rows
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
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := f.Bool("quick", false, "a smaller database and fewer runs")
	size := f.Int64("size", 0, "size of the database in `MB` (default 2048, with -quick 300)")
	pairs := f.Int("pairs", 0, "how often each program runs in each row (default 5, with -quick 3)")
	rows := f.String("rows", "", "measure the rows whose names match a regular `expression`")
	dir := f.String("dir", os.TempDir(), "where to make the directory for the backups")
	pgbasin := f.String("pgbasin", "bin/pgbasin", "the program to measure")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if *size < 0 || *pairs < 0 {
		return nil, errors.New("-size and -pairs must not be negative")
	}
	if *size == 0 {
		*size = 2048
		if *quick {
			*size = 300
		}
	}
	if *pairs == 0 {
		*pairs = 5
		if *quick {
			*pairs = 3
		}
	}
	match, err := regexp.Compile(*rows)
	if err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	return &options{pgbasin: *pgbasin, dir: *dir, size: *size * mb, small: 100 * mb, pairs: *pairs, rows: match}, nil
}

// run measures and prints the results to out. What goes on meanwhile is
// printed to log.
func run(ctx context.Context, o *options, out, log io.Writer) (err error) {
	sizes, peaks := [2]int64{o.small, o.size}, [2][]int64{}
	compared, watched := o.choose(rows), o.choose(peakRows)
	if len(compared)+len(watched) == 0 {
		return fmt.Errorf("no row has a name that matches %s", o.rows)
	}
	b, err := newBench(o, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	about, err := b.describe(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(out, about)

	if len(watched) > 0 {
		err := b.withServer(ctx, o.small, func(s *pgtest.Server) (err error) {
			peaks[0], err = b.peaks(ctx, s, watched)
			return err
		})
		if err != nil {
			return err
		}
	}
	var results []result
	err = b.withServer(ctx, o.size, func(s *pgtest.Server) (err error) {
		if peaks[1], err = b.peaks(ctx, s, watched); err != nil {
			return err
		}
		results, err = b.compare(ctx, s, compared)
		return err
	})
	if err != nil {
		return err
	}
	if len(compared) > 0 {
		fmt.Fprintf(out, "\ndatabase of %d MB, %d runs of each program, medians\n\n", o.size/mb, o.pairs)
		err = printResults(out, results)
	}
	if len(watched) > 0 && err == nil {
		fmt.Fprintln(out)
		err = printPeaks(out, watched, sizes, peaks)
	}
	return err
}

// choose returns those of the rows that are to be measured.
func (o *options) choose(all []row) []row {
	var chosen []row
	for _, r := range all {
		if o.rows.MatchString(r.work) {
			chosen = append(chosen, r)
		}
	}
	return chosen
}
