//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// cp syncs nothing, and so pgbasin is not to.
var combineRow = row{
	work: "combine, not synced", reference: "cp -a of the result",
	goals: goals{wall: 1.2}, prepare: combineChain,
}

// combineChain prepares to combine a full backup and an incremental one that has
// about 15 % of the blocks.
func combineChain(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
	full, increment, result := b.newOutput(), b.newOutput(), b.newOutput()
	take := func(output string, options ...string) error {
		_, err := b.take(ctx, s, b.ours.basebackup, output, append(options, "--no-sync")...)
		return err
	}
	combine := func(output string) (measurement, error) {
		return b.measure(ctx, b.pgbasin, "combine", "--no-sync", "-o", output, full, increment)
	}
	if err := take(full); err != nil {
		return nil, err
	}
	if err := touch(ctx, s); err != nil {
		return nil, err
	}
	if err := take(increment, "-i", filepath.Join(full, "backup_manifest")); err != nil {
		return nil, err
	}
	if _, err := combine(result); err != nil {
		return nil, err
	}
	_, fullSize, err := total(full)
	_, incrementSize, err1 := total(increment)
	run := func(program func(output string) (measurement, error)) func() (measurement, error) {
		return func() (measurement, error) {
			output := b.newOutput()
			m, err := program(output)
			if err == nil {
				m.size, err = empty(output)
			}
			return m, err
		}
	}
	return &contest{
		input:  fmt.Sprintf("of %.0f MiB and %.0f MiB", mebibytes(fullSize), mebibytes(incrementSize)),
		ours:   run(combine),
		theirs: run(func(output string) (measurement, error) { return b.measure(ctx, "cp", "-a", result, output) }),
		end: func() (err error) {
			for _, dir := range []string{full, increment, result} {
				_, err1 := empty(dir)
				err = errors.Join(err, err1)
			}
			return err
		},
	}, errors.Join(err, err1)
}
