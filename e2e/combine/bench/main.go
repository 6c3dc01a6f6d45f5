//go:build linux

// Bench measures "pgbasin combine" on a made-up chain of data directories, a full
// backup and one incremental backup, beside a copy of as many bytes by cp.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/manifest"
)

const (
	wallGoal = 1500 * time.Millisecond // for 2 GB and 300 MB, synchronizing left out
	peakGoal = 64 << 20                // bytes
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	full := flag.Int("full", 2048, "size of the full backup in `MB`")
	changed := flag.Int("changed", 300, "size of the incremental backup in `MB`")
	stubs := flag.Int("stubs", 20000, "how many files without changes the second chain has; 0 leaves it out")
	tars := flag.Bool("tar", false, "combine from tar files, too")
	flag.IntVar(&b.runs, "runs", 5, "how often each program runs")
	dir := flag.String("dir", os.TempDir(), "where to make the directory for the backups")
	pgbasin := flag.String("pgbasin", "bin/pgbasin", "the program to measure")
	flag.Parse()
	if err := b.run(ctx, *pgbasin, *dir, *full, *changed, *stubs, *tars); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	runs    int
	pgbasin string
	dir     string
}

func (b *bench) run(ctx context.Context, pgbasin, dir string, full, changed, stubs int, tars bool) (err error) {
	if b.pgbasin, err = filepath.Abs(pgbasin); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(dir, "pgbasin-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	chain := largeFiles(full, changed)
	if err := b.measure(ctx, "data directories", b.store(chain, nil), true, wallGoal); err != nil {
		return err
	}
	if tars {
		for _, a := range []codec.Algorithm{codec.None, codec.Zstd} {
			if err := b.measure(ctx, "tar "+a.String(), b.store(chain, &codec.Spec{Algorithm: a}), false, 0); err != nil {
				return err
			}
		}
	}
	if stubs == 0 {
		return nil
	}
	chain = manyFiles(stubs)
	if err := b.measure(ctx, fmt.Sprintf("%d stubs", stubs), b.store(chain, nil), true, 0); err != nil {
		return err
	}
	return b.measure(ctx, fmt.Sprintf("%d stubs in tars", stubs), b.store(chain, &codec.Spec{}), false, 0)
}

const (
	mb          = 1 << 20
	blockSize   = 8192
	segmentSize = 64 * mb // smaller than a server's, so that there are some
)

// largeFiles makes a chain whose full backup has so many MB, of which so many
// changed, in runs of blocks here and there.
func largeFiles(full, changed int) []*backuptest.Backup {
	r := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, segmentSize)
	for i := range content {
		content[i] = byte(r.Uint32() >> 5)
	}
	files, increment := map[string][]byte{}, map[string][]byte{}
	segments := full * mb / segmentSize
	each := changed * mb / segments / blockSize // blocks that change in a segment
	for i := range segments {
		name := fmt.Sprintf("base/5/%d", 16384+i)
		files[name] = content
		by := map[uint32][]byte{}
		for len(by) < each {
			start := r.Uint32N(segmentSize/blockSize - 16)
			for n := start; n < start+1+r.Uint32N(16) && len(by) < each; n++ {
				by[n] = content[n*8 : n*8+blockSize]
			}
		}
		increment[incremental.Name(name)] = backuptest.Incremental(incremental.DefaultLayout, segmentSize/blockSize, by)
	}
	return pair(files, increment)
}

// manyFiles makes a chain of n files of a block that did not change.
func manyFiles(n int) []*backuptest.Backup {
	files, increment := map[string][]byte{}, map[string][]byte{}
	content, stub := make([]byte, blockSize), backuptest.Incremental(incremental.DefaultLayout, 1, nil)
	for i := range n {
		name := fmt.Sprintf("base/%d/%d", i/1000+1, 16384+i)
		files[name], increment[incremental.Name(name)] = content, stub
	}
	return pair(files, increment)
}

func pair(full, increment map[string][]byte) []*backuptest.Backup {
	control := backuptest.Control{SystemID: 7}
	return []*backuptest.Backup{
		{Start: 0x1000000, TLI: 1, Files: full, Control: control, Checksums: manifest.CRC32C},
		{Start: 0x2000000, TLI: 1, From: 0x1000000, FromTLI: 1, Files: increment, Control: control, Checksums: manifest.CRC32C},
	}
}

// store writes a chain, in tars if there is a compression.
func (b *bench) store(chain []*backuptest.Backup, compression *codec.Spec) []string {
	var paths []string
	for i, backup := range chain {
		path := filepath.Join(b.dir, fmt.Sprintf("backup%d", i))
		if err := os.RemoveAll(path); err != nil {
			panic(err)
		}
		if compression == nil {
			backup.Plain(path)
		} else {
			backup.Tar(path, *compression)
		}
		paths = append(paths, path)
	}
	return paths
}

// measure combines a chain several times, with a copy of the full backup in
// between if that is to be compared. A goal of 0 is none.
func (b *bench) measure(ctx context.Context, what string, paths []string, copied bool, goal time.Duration) error {
	var ours, copies []time.Duration
	var peak int64
	out := filepath.Join(b.dir, "out")
	for i := range b.runs + 1 {
		m, err := harness.Measure(ctx, b.pgbasin, append([]string{"combine", "-N", "-o", out}, paths...)...)
		if err = errors.Join(err, os.RemoveAll(out)); err != nil {
			return err
		}
		var c harness.Measurement
		if copied {
			c, err = harness.Measure(ctx, "cp", "-r", paths[0], out)
			if err = errors.Join(err, os.RemoveAll(out)); err != nil {
				return err
			}
		}
		if i > 0 { // the first ones bring files into memory
			ours, copies = append(ours, m.Wall), append(copies, c.Wall)
		}
		peak = max(peak, m.Peak)
	}
	wall := harness.Median(ours)
	fmt.Printf("%-24s %6.2f s (%.2f to %.2f), %5.1f MiB", what, wall.Seconds(), slices.Min(ours).Seconds(), slices.Max(ours).Seconds(), float64(peak)/mb)
	if copied {
		c := harness.Median(copies)
		fmt.Printf("; cp -r of the full backup %6.2f s; ratio %.2f", c.Seconds(), wall.Seconds()/c.Seconds())
		if goal > 0 {
			fmt.Print(harness.Missed(wall > goal, "wall"))
		}
	}
	fmt.Println(harness.Missed(peak > peakGoal, "memory"))
	return nil
}
