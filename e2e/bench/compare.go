//go:build linux || darwin

package main

import (
	"context"
	"fmt"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// result is what was measured for a row, pair by pair.
type result struct {
	row             *row
	ours, reference []measurement
}

// compare runs both programs in turns, and in every other pair the reference
// first. The first runs, which bring files into memory, do not count.
func (b *bench) compare(ctx context.Context, s *pgtest.Server, r *row) (result, error) {
	res := result{row: r}
	for pair := 0; pair <= b.o.pairs; pair++ {
		var ours, reference measurement
		turns := []struct {
			program string
			m       *measurement
		}{{b.dropIn, &ours}, {b.reference, &reference}}
		if pair%2 == 0 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, t := range turns {
			var err error
			if *t.m, err = b.backup(ctx, s, t.program, nil, r); err != nil {
				return res, err
			}
		}
		name := "warm-up"
		if pair > 0 {
			name = fmt.Sprintf("pair %d of %d", pair, b.o.pairs)
			res.ours, res.reference = append(res.ours, ours), append(res.reference, reference)
		}
		fmt.Fprintf(b.log, "%s, %s: pgbasin %.2f s, pg_basebackup %.2f s, ratio %.2f\n",
			r.work, name, ours.wall.Seconds(), reference.wall.Seconds(), ours.wall.Seconds()/reference.wall.Seconds())
	}
	return res, nil
}

// peaks measures the peak memory of peakRows, in bytes.
func (b *bench) peaks(ctx context.Context, s *pgtest.Server) ([]int64, error) {
	peaks := make([]int64, len(peakRows))
	for i := range peakRows {
		r := &peakRows[i]
		for range peakRuns {
			m, err := b.backup(ctx, s, b.pgbasin, []string{"backup"}, r)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.work, err)
			}
			peaks[i] = max(peaks[i], m.memory)
		}
		fmt.Fprintf(b.log, "%s: peak memory %.1f MiB\n", r.work, mebibytes(peaks[i]))
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
	m, err := measure(ctx, b.dir, program, args...)
	if err != nil || r.stdout {
		return m, err
	}
	m.size, err = empty(output)
	return m, err
}
