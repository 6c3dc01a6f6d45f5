//go:build linux || darwin

package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// tar syncs nothing, and so pgbasin is not to. Both read the same archive, which
// pgbasin made; pgbasin compares it with its manifest meanwhile.
var restoreRows = []row{
	{
		work: "restore tar.gz, not synced", reference: "tar xzf",
		goals: goals{wall: 0.4}, prepare: restoreOf("client-gzip:6", ".gz"),
	},
	{
		work: "restore tar.zst, not synced", reference: "zstd -dc, tar x",
		goals: goals{wall: 0.7}, prepare: restoreOf("client-zstd", ".zst"),
	},
}

// restoreOf prepares restores of a backup in tar format that was compressed so;
// the name of base.tar has suffix after it.
func restoreOf(compress, suffix string) preparation {
	return func(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
		backup := b.newOutput()
		if _, err := b.take(ctx, s, b.ours.basebackup, backup, append(tarOptions(compress), "--no-sync")...); err != nil {
			return nil, err
		}
		input, err := of(backup)
		archive := filepath.Join(backup, "base.tar"+suffix)
		// Otherwise tar gives the files to the server's user when it runs as root.
		untar := []string{"tar", "--no-same-owner", "-x", "-C"}
		return &contest{
			input: input,
			ours: func() (measurement, error) {
				return b.into(func(dir string) (measurement, error) {
					return b.measure(ctx, b.pgbasin, "restore", "--no-sync", "-D", dir, backup)
				})
			},
			theirs: func() (measurement, error) {
				return b.into(func(dir string) (measurement, error) {
					switch suffix {
					case ".gz":
						return b.measure(ctx, append(untar, dir, "-z", "-f", archive)...)
					case ".zst":
						return b.pipe(ctx, []string{"zstd", "-dc", archive}, append(untar, dir, "-f", "-"))
					}
					return b.measure(ctx, append(untar, dir, "-f", archive)...)
				})
			},
			end: func() error {
				_, err := empty(backup)
				return err
			},
		}, err
	}
}

// into has work fill a directory, whose files are cut to nothing afterwards.
func (b *bench) into(work func(dir string) (measurement, error)) (measurement, error) {
	dir := b.newOutput()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return measurement{}, err
	}
	m, err := work(dir)
	if err != nil {
		return m, err
	}
	m.size, err = empty(dir)
	return m, err
}
