//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// peakBound is what pgbasin may take, in bytes, whatever the size of the database.
// Of several runs the highest peak counts.
const peakBound = 64 << 20

// What pgbasin's peak memory is measured of, with databases of two sizes.
var (
	databasePeaks = []row{
		{work: "peak memory, backup -Fp", prepare: backupTo("-Fp", "-X", "stream")},
		{work: "peak memory, backup -Ft", prepare: backupTo("-Ft", "-X", "stream")},
		{work: "peak memory, restore tar", prepare: restoreOf("none", "")},
		{work: "peak memory, verify plain", prepare: verifyPlain},
	}
	chainPeaks = []row{{work: "peak memory, combine", prepare: combineChain}}
)

// peak is what was measured for one of these rows, with one server after the other.
type peak struct {
	row     *row
	highest []int64 // bytes
}

// peakRuns is how often pgbasin runs for that.
func (o *options) peakRuns() int { return (o.pairs + 1) / 2 }

// peaks measures the peak memory of pgbasin: for each row the highest of several
// runs.
func (b *bench) peaks(ctx context.Context, s *pgtest.Server, peaks []peak) error {
	for i := range peaks {
		highest, err := b.peak(ctx, s, peaks[i].row)
		if err != nil {
			return fmt.Errorf("%s: %w", peaks[i].row.work, err)
		}
		peaks[i].highest = append(peaks[i].highest, highest)
		fmt.Fprintf(b.log, "%s: %.1f MiB\n", peaks[i].row.work, mebibytes(highest))
	}
	return nil
}

func (b *bench) peak(ctx context.Context, s *pgtest.Server, r *row) (highest int64, err error) {
	c, err := r.prepare(ctx, b, s)
	if err != nil {
		return 0, err
	}
	if c.end != nil {
		defer func() { err = errors.Join(err, c.end()) }()
	}
	for range b.o.peakRuns() {
		unix.Sync()
		m, err := c.ours()
		if err != nil {
			return 0, err
		}
		highest = max(highest, m.memory)
	}
	return highest, nil
}
