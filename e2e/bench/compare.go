//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// row is one comparison.
type row struct {
	work      string
	reference string // what does the same work
	rate      string // the unit of what is counted instead of the time, more being better; "" where the time counts
	goals     goals
	prepare   preparation
}

// goals are bounds of the ratios of pgbasin to the reference, upper ones except
// for that of the rate; 0 is none.
type goals struct{ wall, cpu, size, rate float64 }

// preparation makes what the two sides of a row work on.
type preparation func(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error)

// contest is how the two sides of a row do its work, any number of times.
type contest struct {
	input  string // what there is to do
	ours   func() (measurement, error)
	theirs func() (measurement, error)
	end    func() error // gives back what was made for both; may be nil
}

// result is what was measured for a row, pair by pair.
type result struct {
	row             *row
	input           string
	ours, reference []measurement
}

// compare measures a row.
func (b *bench) compare(ctx context.Context, s *pgtest.Server, r *row) (res result, err error) {
	c, err := r.prepare(ctx, b, s)
	if err != nil {
		return result{}, err
	}
	if c.end != nil {
		defer func() { err = errors.Join(err, c.end()) }()
	}
	res = result{row: r, input: c.input}
	return res, b.pairs(c, &res)
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
			// What earlier runs wrote must not be written to the disk at this one's cost.
			unix.Sync()
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
		first := measuresOf(res.row)[0]
		a, z := first.of(&ours), first.of(&reference)
		fmt.Fprintf(b.log, "%s, %s: %s: pgbasin %s, %s %s, ratio %.2f\n", res.row.work, name, first.name, number(a), res.row.reference, number(z), a/z)
	}
	return nil
}
