//go:build linux

// Bench compares "pgbasin receive" with the installed pg_receivewal: both receive
// the same WAL in turns, and both are the only synchronous standby of a server
// under pgbench. Medians and ratios are printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// major is the version of the server and of the reference.
const major = 15

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	size := flag.Int("size", 2048, "WAL to receive in bulk, in `MB`")
	flag.IntVar(&b.pairs, "pairs", 3, "how often each program runs")
	flag.IntVar(&b.seconds, "seconds", 10, "length of one run of pgbench")
	flag.StringVar(&b.dir, "dir", os.TempDir(), "where to make the directory for the archives")
	pgbasin := flag.String("pgbasin", "bin/pgbasin", "the program to measure")
	flag.Parse()
	if err := b.run(ctx, *pgbasin, *size); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// tool is one of the programs.
type tool struct {
	name string
	args []string // with the program
}

type bench struct {
	dir            string
	pairs, seconds int
	tools          [2]tool
	pgbench        string
}

func (b *bench) run(ctx context.Context, pgbasin string, size int) (err error) {
	in, err := pgtest.Installation(major)
	if err != nil {
		return err
	}
	reference, err := in.Path("pg_receivewal")
	if err != nil {
		return err
	}
	if b.pgbench, err = in.Path("pgbench"); err != nil {
		return err
	}
	if pgbasin, err = filepath.Abs(pgbasin); err != nil {
		return err
	}
	b.tools = [2]tool{{"pgbasin receive", []string{pgbasin, "receive"}}, {"pg_receivewal", []string{reference}}}
	if b.dir, err = os.MkdirTemp(b.dir, "pgbasin-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()

	s, err := pgtest.Launch(ctx, pgtest.Config{Major: major, Settings: map[string]string{
		"fsync": "on", "max_wal_size": "8GB", "shared_buffers": "128MB", "checkpoint_timeout": "1h",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := b.commits(ctx, s); err != nil {
		return err
	}
	return b.bulk(ctx, s, size)
}

// commits measures how many transactions a second a server makes that waits for
// the program.
func (b *bench) commits(ctx context.Context, s *pgtest.Server) error {
	connection := []string{"-h", s.SocketDir(), "-p", strconv.Itoa(s.Port()), "-U", "postgres"}
	if out, err := exec.CommandContext(ctx, b.pgbench, append(connection, "-i", "-s", "10", "-q", "postgres")...).CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w\n%s", err, out)
	}
	measure := func(t tool) (tps, cpu float64, err error) {
		r, dir, err := b.start(ctx, s, t, "--synchronous")
		if err != nil {
			return 0, 0, err
		}
		defer os.RemoveAll(dir)
		if err := statements(ctx, s, "alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"); err != nil {
			return 0, 0, err
		}
		if err := until(ctx, s, "select exists (select from pg_stat_replication where sync_state = 'sync')"); err != nil {
			return 0, 0, err
		}
		out, err := exec.CommandContext(ctx, b.pgbench, append(connection, "-c", "4", "-T", strconv.Itoa(b.seconds), "-n", "postgres")...).CombinedOutput()
		if err != nil {
			return 0, 0, fmt.Errorf("pgbench: %w\n%s", err, out)
		}
		if err := statements(ctx, s, "alter system reset synchronous_standby_names", "select pg_reload_conf()"); err != nil {
			return 0, 0, err
		}
		// pg_receivewal 15 does not know SIGTERM.
		if err := r.Process.Signal(syscall.SIGINT); err != nil {
			return 0, 0, err
		}
		if err := r.Wait(); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", t.name, err)
		}
		m := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
		if m == nil {
			return 0, 0, fmt.Errorf("pgbench: %s", out)
		}
		tps, err = strconv.ParseFloat(string(m[1]), 64)
		return tps, (r.ProcessState.UserTime() + r.ProcessState.SystemTime()).Seconds(), err
	}
	return b.compare("tps as the only synchronous standby, pgbench -c 4", "cpu seconds", measure)
}

// bulk measures how fast WAL that is there already is received.
func (b *bench) bulk(ctx context.Context, s *pgtest.Server, size int) error {
	if err := statements(ctx, s, "select pg_create_physical_replication_slot('bulk', true)", "create table bulk (t text)"); err != nil {
		return err
	}
	var begin string
	if err := value(ctx, s, "select pg_current_wal_lsn()::text", &begin); err != nil {
		return err
	}
	for {
		if err := statements(ctx, s, "insert into bulk select repeat(md5(i::text), 30) from generate_series(1, 50000) i", "truncate bulk"); err != nil {
			return err
		}
		var enough bool
		if err := value(ctx, s, fmt.Sprintf("select pg_current_wal_lsn() - '%s' > %d * 1048576::numeric", begin, size), &enough); err != nil {
			return err
		}
		if enough {
			break
		}
	}
	var end string
	if err := value(ctx, s, "select pg_switch_wal()::text", &end); err != nil {
		return err
	}
	n := 0
	measure := func(t tool) (speed, peak float64, err error) {
		// Each has a slot that begins at the same place.
		n++
		slot := fmt.Sprintf("bulk%d", n)
		if err := statements(ctx, s, fmt.Sprintf("select pg_copy_physical_replication_slot('bulk', '%s')", slot)); err != nil {
			return 0, 0, err
		}
		begun := time.Now()
		r, dir, err := b.start(ctx, s, t, "-S", slot, "-E", end, "--no-loop")
		if err != nil {
			return 0, 0, err
		}
		defer os.RemoveAll(dir)
		if err := r.Wait(); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", t.name, err)
		}
		took := time.Since(begun)
		if err := statements(ctx, s, fmt.Sprintf("select pg_drop_replication_slot('%s')", slot)); err != nil {
			return 0, 0, err
		}
		peakKB := r.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
		return float64(size) / took.Seconds(), float64(peakKB) / 1024, nil
	}
	return b.compare(fmt.Sprintf("MB/s of %d MB of WAL", size), "MiB at most", measure)
}

// start starts a program that receives into a new directory.
func (b *bench) start(ctx context.Context, s *pgtest.Server, t tool, args ...string) (*exec.Cmd, string, error) {
	dir, err := os.MkdirTemp(b.dir, "archive-")
	if err != nil {
		return nil, "", err
	}
	args = append(append(t.args[1:len(t.args):len(t.args)], "-D", dir, "-h", s.SocketDir(), "-p", strconv.Itoa(s.Port()), "-U", "postgres"), args...)
	cmd := exec.CommandContext(ctx, t.args[0], args...)
	return cmd, dir, cmd.Start()
}

// compare runs both programs in turns and prints the medians.
func (b *bench) compare(what, also string, measure func(tool) (value, second float64, err error)) error {
	var values, seconds [2][]float64
	for range b.pairs {
		for i, t := range b.tools {
			v, second, err := measure(t)
			if err != nil {
				return err
			}
			values[i], seconds[i] = append(values[i], v), append(seconds[i], second)
		}
	}
	fmt.Println(what)
	for i, t := range b.tools {
		fmt.Printf("  %-16s %10.1f   (%.1f %s)\n", t.name, median(values[i]), median(seconds[i]), also)
	}
	fmt.Printf("  %-16s %10.2f\n", "ratio", median(values[0])/median(values[1]))
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func statements(ctx context.Context, s *pgtest.Server, all ...string) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range all {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

func value(ctx context.Context, s *pgtest.Server, sql string, into any) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql).Scan(into)
}

func until(ctx context.Context, s *pgtest.Server, sql string) error {
	for {
		var ok bool
		if err := value(ctx, s, sql, &ok); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
