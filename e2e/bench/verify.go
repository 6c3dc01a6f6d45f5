//go:build linux || darwin

package main

import (
	"context"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

var verifyRow = row{
	work: "verify plain", reference: "pg_verifybackup",
	goals: goals{wall: 0.6}, prepare: verifyPlain,
}

// verifyPlain prepares to verify a backup that the reference took: CRC32C and WAL.
func verifyPlain(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
	backup := b.newOutput()
	if _, err := b.take(ctx, s, b.theirs.basebackup, backup, "-Fp", "-X", "stream", "--no-sync"); err != nil {
		return nil, err
	}
	input, err := of(backup)
	run := func(program string) func() (measurement, error) {
		return func() (measurement, error) { return b.measure(ctx, program, "-q", backup) }
	}
	return &contest{
		input: input, ours: run(b.ours.verifybackup), theirs: run(b.theirs.verifybackup),
		end: func() error {
			_, err := empty(backup)
			return err
		},
	}, err
}
