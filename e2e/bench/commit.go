//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// commitRows are for one client, which waits for each of its commits, and for several,
// which two processors are hardly enough for.
var commitRows = []row{commitRow(1), commitRow(4)}

func commitRow(clients int) row {
	return row{
		work: fmt.Sprintf("synchronous commit, clients: %d", clients), reference: "pg_receivewal --synchronous", rate: "tps",
		goals: goals{rate: 1.1},
		prepare: func(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
			return commitsOf(ctx, b, s, clients)
		},
	}
}

// commitsOf prepares to be the only synchronous standby of a server under pgbench,
// whose transactions wait for it.
func commitsOf(ctx context.Context, b *bench, s *pgtest.Server, clients int) (*contest, error) {
	connection := []string{"-h", s.SocketDir(), "-p", strconv.Itoa(s.Port()), "-U", "postgres"}
	pgbench := func(ctx context.Context, options ...string) ([]byte, error) {
		args := append(append(connection[:len(connection):len(connection)], options...), "postgres")
		out, err := exec.CommandContext(ctx, b.pgbench, args...).CombinedOutput()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("pgbench: %w\n%s", err, out)
		}
		return out, nil
	}
	if _, err := pgbench(ctx, "-i", "-q", "-s", "10"); err != nil {
		return nil, err
	}
	run := func(program string) func() (measurement, error) {
		return func() (m measurement, err error) {
			dir := b.newOutput()
			p, err := b.receive(ctx, s, program, dir, "--synchronous")
			if err != nil {
				return m, err
			}
			// Without the program every commit would wait for ever.
			alive, cancel := context.WithCancelCause(ctx)
			ended := make(chan error, 1)
			go func() {
				var err error
				m, err = p.wait(ctx)
				cancel(errors.New("the receiver ended before pgbench did"))
				ended <- err
			}()
			rate, err := b.commits(alive, s, func(ctx context.Context) ([]byte, error) {
				return pgbench(ctx, "-n", "-c", strconv.Itoa(clients), "-T", strconv.Itoa(b.o.seconds))
			})
			// pg_receivewal 15 does not know SIGTERM.
			if stopErr := p.cmd.Process.Signal(syscall.SIGINT); !errors.Is(stopErr, os.ErrProcessDone) {
				err = errors.Join(err, stopErr)
			}
			if err = errors.Join(err, <-ended); err != nil {
				return m, err
			}
			m.rate = rate
			_, err = empty(dir) // its size depends on the rate
			return m, err
		}
	}
	return &contest{
		input: fmt.Sprintf("under pgbench -c %d for %d s", clients, b.o.seconds),
		ours:  run(b.ours.receivewal), theirs: run(b.theirs.receivewal),
	}, nil
}

// commits runs pgbench with whoever receives WAL as the synchronous standby, and
// returns the transactions per second.
func (b *bench) commits(ctx context.Context, s *pgtest.Server, pgbench func(ctx context.Context) ([]byte, error)) (float64, error) {
	if err := execute(ctx, s, "alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"); err != nil {
		return 0, err
	}
	if err := waitFor(ctx, s, "select exists (select from pg_stat_replication where sync_state = 'sync')"); err != nil {
		return 0, err
	}
	out, err := pgbench(ctx)
	if err != nil {
		return 0, err
	}
	if err := execute(ctx, s, "alter system reset synchronous_standby_names", "select pg_reload_conf()"); err != nil {
		return 0, err
	}
	return tps(out)
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+)`)

// tps finds the transactions per second in what pgbench printed.
func tps(out []byte) (float64, error) {
	m := tpsLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench says nothing of transactions per second: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// receive starts a program that has pg_receivewal's options, to receive into a new
// directory.
func (b *bench) receive(ctx context.Context, s *pgtest.Server, program, dir string, options ...string) (*process, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return b.start(ctx, nil, nil, append([]string{program, "-D", dir, "-d", s.DSN()}, options...)...)
}
