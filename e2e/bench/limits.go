//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// limit is what one part of the work can do alone, so that it can be told how far
// the whole is from it.
type limit struct {
	of, unit, remark string
	value            float64
}

// limits measures what the machine and the server can do.
func (b *bench) limits(ctx context.Context, s *pgtest.Server) ([]limit, error) {
	limits, err := b.serverLimits(ctx, s)
	if err != nil {
		return nil, err
	}
	limits = append(limits, limit{of: "copying memory, one core", unit: "MiB/s", value: median(copySpeeds(b.o.pairs))})
	codecs, err := codecLimits(filepath.Join(s.DataDir(), "base"))
	if err != nil {
		return nil, err
	}
	sync, err := b.syncTime(ctx)
	if err != nil {
		return nil, err
	}
	limits = append(limits, codecs...)
	return append(limits, limit{of: "write of 8 KiB and fdatasync", unit: "µs", value: sync, remark: "what a synchronous commit waits for at least"}), nil
}

// serverLimits measures how fast a server sends a backup, to nobody and to
// programs that throw it away. They take turns.
func (b *bench) serverLimits(ctx context.Context, s *pgtest.Server) ([]limit, error) {
	_, size, err := total(filepath.Join(s.DataDir(), "base"))
	if err != nil {
		return nil, err
	}
	limits := []limit{
		{of: "walsender alone, BASE_BACKUP to blackhole", unit: "MiB/s"},
		{of: "pgbasin, tar to /dev/null", unit: "MiB/s"},
		{of: "pg_basebackup, tar to /dev/null", unit: "MiB/s"},
	}
	commands := [][]string{
		{b.pgbasin, "backup", "-t", "blackhole"},
		{b.ours.basebackup, "-Ft", "-D", "-"},
		{b.theirs.basebackup, "-Ft", "-D", "-"},
	}
	speeds := make([][]float64, len(limits))
	for round := range b.o.pairs + 1 {
		for i := range commands {
			unix.Sync()
			m, err := b.measure(ctx, append(commands[i], "-d", s.DSN(), "-c", "fast", "-X", "none")...)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first ones bring files into memory
				speeds[i] = append(speeds[i], mebibytes(size)/m.wall.Seconds())
			}
		}
	}
	for i := range limits {
		limits[i].value = median(speeds[i])
	}
	return limits, nil
}

// copyBytes is much larger than the caches of processors.
const copyBytes = 256 * mb

// copySpeeds are those of n copies from memory to memory, in MiB/s.
func copySpeeds(n int) []float64 {
	from, to := make([]byte, copyBytes), make([]byte, copyBytes)
	for i := 0; i < copyBytes; i += os.Getpagesize() {
		from[i] = 1 // otherwise all its pages are the one of zeroes
	}
	copy(to, from) // gives it its pages
	var speeds []float64
	for range n {
		started := time.Now()
		copy(to, from)
		speeds = append(speeds, mebibytes(copyBytes)/time.Since(started).Seconds())
	}
	runtime.KeepAlive(to)
	return speeds
}

// syncTime is how long it takes to write a block of a file that is there already
// and to have it on the disk, in microseconds: the median of many.
func (b *bench) syncTime(ctx context.Context) (us float64, err error) {
	const block, blocks = 8192, 100
	f, err := os.Create(b.newOutput())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(make([]byte, block*blocks)); err != nil {
		return 0, err
	}
	unix.Sync()
	var took []float64
	for i := range blocks {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		started := time.Now()
		if _, err := f.WriteAt(make([]byte, block), int64(i)*block); err != nil {
			return 0, err
		}
		if err := durable.Datasync(f); err != nil {
			return 0, fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
		took = append(took, float64(time.Since(started).Nanoseconds())/1e3)
	}
	return median(took), nil
}
