//go:build linux || darwin

package main

import (
	"context"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// restoreContest takes the backup that r restores, and one as tar.gz of the same
// data, which tar unpacks. That one is pg_basebackup's.
func (b *bench) restoreContest(ctx context.Context, s *pgtest.Server, r *row) (contest, error) {
	input, gz := b.newOutput(), b.newOutput()
	take := func(program, output string, options []string) error {
		_, err := measure(ctx, b.dir, program, append(options[:len(options):len(options)], "-D", output, "-d", s.DSN(), "-c", "fast", "--no-sync")...)
		return err
	}
	if err := take(b.dropIn, input, r.args); err != nil {
		return contest{}, err
	}
	if err := take(b.reference, gz, []string{"-Ft", "-X", "none", "-z"}); err != nil {
		return contest{}, err
	}
	return contest{
		reference: "tar xzf",
		ours: func() (measurement, error) {
			return b.into(func(dir string) (measurement, error) {
				args := append([]string{"restore", "-D", dir}, r.restore...)
				return measure(ctx, b.dir, b.pgbasin, append(args, input)...)
			})
		},
		theirs: func() (measurement, error) {
			return b.into(func(dir string) (measurement, error) {
				return measure(ctx, b.dir, "tar", "-xzf", filepath.Join(gz, "base.tar.gz"), "-C", dir)
			})
		},
	}, nil
}

// into has work fill a directory, whose files are cut to nothing afterwards.
// They stay until the end: ext4 is slow at making files for a while after many
// were removed, at the cost of who comes next.
func (b *bench) into(work func(dir string) (measurement, error)) (measurement, error) {
	dir := b.newOutput()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return measurement{}, err
	}
	// What earlier runs wrote must not be written to the disk at this one's cost.
	unix.Sync()
	m, err := work(dir)
	if err != nil {
		return m, err
	}
	m.size, err = empty(dir)
	return m, err
}
