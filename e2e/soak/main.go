//go:build linux

// Soak lets pgbasin back up a busy server and be its only synchronous standby for
// minutes or days, while programs, connections and the server are killed at random.
// At the end the server is gone, and every commit that it had acknowledged must be
// found in the newest backup with the archive of WAL. "make soak" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

func main() {
	defer pgtest.DefaultSignals()()
	minutes := flag.Float64("minutes", 10, "how long it goes")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what faults happen when")
	program := flag.String("pgbasin", filepath.Join("bin", "pgbasin"), "the program")
	major := flag.Int("major", 18, "major version of the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("soak of %.3g minutes, PostgreSQL %d, seed %d\n", *minutes, *major, *seed)
	if err := run(ctx, *program, *major, *seed, time.Duration(*minutes*float64(time.Minute))); err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

// run is the whole story. What it makes and starts is gone when it returns.
func run(ctx context.Context, program string, major int, seed uint64, length time.Duration) (err error) {
	s, err := newSoak(ctx, program, major, seed, length)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err = s.run(ctx); err == nil {
		err = s.end(ctx)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return errors.Join(err, s.report(os.Stdout))
}
