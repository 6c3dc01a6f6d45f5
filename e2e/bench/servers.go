//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// launch starts a server and has fill fill it. Nothing is to happen there at a
// time of the server's choice.
func launch(ctx context.Context, major int, settings map[string]string, fill func(*pgtest.Server) error) (*pgtest.Server, error) {
	all := map[string]string{"autovacuum": "off", "checkpoint_timeout": "1h"}
	for name, value := range settings {
		all[name] = value
	}
	s, err := pgtest.Launch(ctx, pgtest.Config{Major: major, Settings: all})
	if err != nil {
		return nil, err
	}
	if err := fill(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// launchDatabase starts a server with a database of about size bytes.
func (b *bench) launchDatabase(ctx context.Context, size int64) (*pgtest.Server, error) {
	return launch(ctx, major, nil, func(s *pgtest.Server) error { return fillMixed(ctx, s, size) })
}

// launchChain starts one that incremental backups can be taken of.
func (b *bench) launchChain(ctx context.Context, size int64) (*pgtest.Server, error) {
	return launch(ctx, chainMajor, map[string]string{"summarize_wal": "on"}, func(s *pgtest.Server) error { return fillMixed(ctx, s, size) })
}

// launchWAL starts an empty one that syncs what it commits.
func (b *bench) launchWAL(ctx context.Context, _ int64) (*pgtest.Server, error) {
	return launch(ctx, major, map[string]string{"fsync": "on", "shared_buffers": "128MB", "max_wal_size": "8GB"},
		func(*pgtest.Server) error { return nil })
}

// launchFiles starts one with many small files.
func (b *bench) launchFiles(ctx context.Context, _ int64) (*pgtest.Server, error) {
	return launch(ctx, major, nil, func(s *pgtest.Server) error { return fillFiles(ctx, s, b.o.files) })
}

// dataOf says what there is to back up of a server, WAL left out.
func dataOf(s *pgtest.Server) (string, error) { return of(filepath.Join(s.DataDir(), "base")) }

// execute executes statements one after the other, in one connection.
func execute(ctx context.Context, s *pgtest.Server, statements ...string) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// ask reads the one value that a query returns.
func ask(ctx context.Context, s *pgtest.Server, into any, sql string) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := conn.QueryRow(ctx, sql).Scan(into); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// waitFor asks until a query returns true.
func waitFor(ctx context.Context, s *pgtest.Server, sql string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var is bool
		if err := ask(ctx, s, &is, sql); is || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
