// Demo takes, verifies and starts backups of a real server that is being
// written to, and says what it does. "make demo" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

func main() {
	program := flag.String("pgbasin", filepath.Join("bin", "pgbasin"), "the program to show")
	size := flag.Int64("size", 150, "MB of data in the database")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *program, *size<<20); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// run is the whole story. What it makes is gone when it returns.
func run(ctx context.Context, program string, size int64) (err error) {
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: run \"make build\" first", err)
	}
	started := time.Now()

	heading("A server to back up")
	major, err := newestMajor()
	if err != nil {
		return err
	}
	checksums := true
	server, err := pgtest.Launch(ctx, pgtest.Config{Major: major, Checksums: &checksums})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	say("PostgreSQL %s runs on port %d, in %s.", server.Install().Version, server.Port(), server.DataDir())
	if err := server.FillData(ctx, size); err != nil {
		return err
	}
	want, err := server.TableSums(ctx)
	if err != nil {
		return err
	}
	say("It holds %d tables with %s rows that do not change; their sums are noted, computed by the server.", len(want), count(rows(want)))
	load, err := server.StartLoad(ctx, pgtest.LoadConfig{Clients: 2})
	if err != nil {
		return err
	}
	defer load.Stop()
	if err := load.WaitCommits(ctx, 100); err != nil {
		return err
	}
	say("Two clients move money between accounts in other tables, from now to the end of the last backup.")

	home, err := server.MakeDir("backups")
	if err != nil {
		return err
	}
	d := &demo{ctx: ctx, program: program, server: server, load: load, home: home, want: want}
	for _, part := range []func() error{d.plain, d.zstd, d.pipe} {
		if err := part(); err != nil {
			return err
		}
	}
	commits, err := load.Stop()
	if err != nil {
		return err
	}
	// The backups have to start by themselves.
	if err := server.Stop(); err != nil {
		return err
	}

	heading("Do they start?")
	say("The server is down. PostgreSQL %d starts on the backups, replays their WAL, and is asked for the same sums.", major)
	for _, b := range d.taken {
		if b.data == "" {
			continue
		}
		if err := d.prove(b); err != nil {
			return fmt.Errorf("backup %s: %w", b.name, err)
		}
	}
	d.summary(commits, time.Since(started))
	return nil
}

// newestMajor is the newest major version that can be had here.
func newestMajor() (int, error) {
	majors := pgtest.Majors()
	slices.Sort(majors)
	slices.Reverse(majors)
	var errs []error
	for _, major := range majors {
		in, err := pgtest.Installation(major)
		if err == nil {
			return in.Major, nil
		}
		errs = append(errs, err)
	}
	return 0, fmt.Errorf("no PostgreSQL server can be had: %w", errors.Join(errs...))
}

func heading(text string) { fmt.Printf("\n%s\n%s\n", text, strings.Repeat("-", len(text))) }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// rows adds up the numbers of rows that sums begin with.
func rows(sums map[string]string) (total int64) {
	for _, sum := range sums {
		var n int64
		if _, err := fmt.Sscan(sum, &n); err == nil {
			total += n
		}
	}
	return total
}

// count writes a number with separators.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
