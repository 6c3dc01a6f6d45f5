//go:build linux || darwin

package main

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// result is what was measured for a row, pair by pair.
type result struct {
	row             *row
	ours, reference []measurement
}

// contest is how the two sides of a row do its work.
type contest struct {
	reference string // its name
	ours      func() (measurement, error)
	theirs    func() (measurement, error)
}

// compare measures rows one after the other.
func (b *bench) compare(ctx context.Context, s *pgtest.Server, rows []row) ([]result, error) {
	results := make([]result, len(rows))
	for i := range rows {
		r := &rows[i]
		results[i].row = r
		c := contest{
			"pg_basebackup",
			func() (measurement, error) { return b.backup(ctx, s, b.dropIn, nil, r) },
			func() (measurement, error) { return b.backup(ctx, s, b.reference, nil, r) },
		}
		err := error(nil)
		if r.restore != nil {
			c, err = b.restoreContest(ctx, s, r)
		}
		if err == nil {
			err = b.pairs(&c, &results[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.work, err)
		}
	}
	return results, nil
}

// pairs runs both sides in turns, in every other pair the reference first. The
// first runs, which bring files into memory, do not count.
func (b *bench) pairs(c *contest, res *result) error {
	for pair := 0; pair <= b.o.pairs; pair++ {
		var ours, reference measurement
		turns := []struct {
			run func() (measurement, error)
			m   *measurement
		}{{c.ours, &ours}, {c.theirs, &reference}}
		if pair%2 == 0 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, t := range turns {
			var err error
			if *t.m, err = t.run(); err != nil {
				return err
			}
		}
		name := "warm-up"
		if pair > 0 {
			name = fmt.Sprintf("pair %d of %d", pair, b.o.pairs)
			res.ours, res.reference = append(res.ours, ours), append(res.reference, reference)
		}
		fmt.Fprintf(b.log, "%s, %s: pgbasin %.2f s, %s %.2f s, ratio %.2f\n",
			res.row.work, name, ours.wall.Seconds(), c.reference, reference.wall.Seconds(), ours.wall.Seconds()/reference.wall.Seconds())
	}
	return nil
}

// peaks measures the peak memory of pgbasin by its own name, in bytes: for
// each row the highest of several runs.
func (b *bench) peaks(ctx context.Context, s *pgtest.Server, rows []row) ([]int64, error) {
	peaks := make([]int64, len(rows))
	for i := range rows {
		for range b.o.pairs {
			m, err := b.backup(ctx, s, b.pgbasin, []string{"backup"}, &rows[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rows[i].work, err)
			}
			peaks[i] = max(peaks[i], m.memory)
		}
		fmt.Fprintf(b.log, "%s: peak memory %.1f MiB\n", rows[i].work, mebibytes(peaks[i]))
	}
	return peaks, nil
}

// backup takes one backup as r says; before are the program's arguments in
// front of the options.
func (b *bench) backup(ctx context.Context, s *pgtest.Server, program string, before []string, r *row) (measurement, error) {
	output := "-"
	if !r.stdout {
		output = b.newOutput()
	}
	args := append(before[:len(before):len(before)], r.args...)
	args = append(args, "-D", output, "-d", s.DSN(), "-c", "fast")
	if !r.stdout {
		// What earlier runs wrote must not be written to the disk at this one's cost.
		unix.Sync()
	}
	m, err := measure(ctx, b.dir, program, args...)
	if err != nil || r.stdout {
		return m, err
	}
	m.size, err = empty(output)
	return m, err
}
