//go:build linux

// Bench compares "pgbasin verify" with the installed pg_verifybackup on the same
// plain backup, in turns, and measures the memory that a backup of a million
// files takes.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

const (
	major = 15 // of the server and of the reference

	wallGoal = 0.7      // of the reference's wall time
	peakGoal = 64 << 20 // bytes
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	size := flag.Int64("size", 2048, "size of the database in `MB`")
	files := flag.Int("files", 1000000, "how many files the backup of many files has; 0 leaves it out")
	flag.IntVar(&b.pairs, "pairs", 5, "how often each program runs")
	dir := flag.String("dir", os.TempDir(), "where to make the directory for the backups")
	pgbasin := flag.String("pgbasin", "bin/pgbasin", "the program to measure")
	flag.Parse()
	if err := b.run(ctx, *pgbasin, *dir, *size<<20, *files); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	pairs     int
	pgbasin   string
	reference string
	dir       string
}

func (b *bench) run(ctx context.Context, pgbasin, dir string, size int64, files int) (err error) {
	in, err := pgtest.Installation(major)
	if err != nil {
		return err
	}
	if b.reference, err = in.Path("pg_verifybackup"); err != nil {
		return err
	}
	if b.pgbasin, err = filepath.Abs(pgbasin); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(dir, "pgbasin-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()

	var backups []string
	if size > 0 {
		if backups, err = b.takeBackups(ctx, in, size); err != nil {
			return err
		}
	}
	for i, backup := range backups {
		name := []string{"CRC32C", "SHA256"}[i]
		if err := b.compare(ctx, name, backup, nil); err != nil {
			return err
		}
		if err := b.compare(ctx, name+", no WAL", backup, []string{"-n"}); err != nil {
			return err
		}
	}
	if len(backups) > 0 {
		m, err := harness.Measure(ctx, b.pgbasin, "verify", "-q", "--checksums", backups[0])
		if err != nil {
			return err
		}
		fmt.Printf("%-24s %8.2f s, %5.1f MiB\n", "with --checksums", m.Wall.Seconds(), mebibytes(m.Peak))
	}
	if files == 0 {
		return nil
	}
	many, err := b.manyFiles(files)
	if err != nil {
		return err
	}
	return b.compare(ctx, fmt.Sprintf("%d files", files), many, []string{"-n"})
}

// takeBackups makes a server with a database of about size bytes and takes a
// backup with each of two algorithms.
func (b *bench) takeBackups(ctx context.Context, in *pgtest.Install, size int64) (backups []string, err error) {
	basebackup, err := in.Path("pg_basebackup")
	if err != nil {
		return nil, err
	}
	checksums := true
	s, err := pgtest.Launch(ctx, pgtest.Config{Major: major, Checksums: &checksums, Settings: map[string]string{
		"autovacuum": "off", "checkpoint_timeout": "1h",
	}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.FillData(ctx, size); err != nil {
		return nil, err
	}
	for _, algorithm := range []string{"CRC32C", "SHA256"} {
		dir := filepath.Join(b.dir, algorithm)
		cmd := exec.CommandContext(ctx, basebackup, "-D", dir, "-c", "fast", "--no-sync", "--manifest-checksums", algorithm, "-d", s.DSN())
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
		}
		backups = append(backups, dir)
	}
	return backups, nil
}

// manyFiles makes what looks like a backup of so many empty files. They are links
// to a few.
func (b *bench) manyFiles(n int) (string, error) {
	dir := filepath.Join(b.dir, "many")
	const perDirectory = 1000
	var manifest bytes.Buffer
	manifest.WriteString("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n")
	add := func(name string, more bool) {
		fmt.Fprintf(&manifest, "{ \"Path\": \"%s\", \"Size\": 0, \"Last-Modified\": \"2026-01-31 12:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00000000\" }", name)
		if more {
			manifest.WriteString(",\n")
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "base"), 0o700); err != nil {
		return "", err
	}
	source := ""
	for i := range n {
		database := fmt.Sprintf("base/%d", i/perDirectory+1)
		if i%perDirectory == 0 {
			if err := os.Mkdir(filepath.Join(dir, database), 0o700); err != nil {
				return "", err
			}
		}
		name := database + "/" + strconv.Itoa(i+16384)
		path := filepath.Join(dir, name)
		// File systems limit the links to a file.
		if i%perDirectory == 0 {
			source = path
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return "", err
			}
		} else if err := os.Link(source, path); err != nil {
			return "", err
		}
		add(name, true)
	}
	add("PG_VERSION", false)
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), nil, 0o600); err != nil {
		return "", err
	}
	manifest.WriteString("\n],\n\"WAL-Ranges\": [\n],\n")
	sum := sha256.Sum256(manifest.Bytes())
	fmt.Fprintf(&manifest, "\"Manifest-Checksum\": \"%x\"}\n", sum)
	return dir, os.WriteFile(filepath.Join(dir, "backup_manifest"), manifest.Bytes(), 0o600)
}

// compare runs both programs in turns and prints medians and ratios.
func (b *bench) compare(ctx context.Context, work, backup string, args []string) error {
	args = append(args, "-q", backup)
	var ours, reference []harness.Measurement
	for i := range b.pairs + 1 {
		m, err := harness.Measure(ctx, b.pgbasin, append([]string{"verify"}, args...)...)
		if err != nil {
			return err
		}
		r, err := harness.Measure(ctx, b.reference, args...)
		if err != nil {
			return err
		}
		if i > 0 { // the first ones bring files into memory
			ours, reference = append(ours, m), append(reference, r)
		}
	}
	var ratios []float64
	var peak, referencePeak int64
	for i := range ours {
		ratios = append(ratios, ours[i].Wall.Seconds()/reference[i].Wall.Seconds())
		peak, referencePeak = max(peak, ours[i].Peak), max(referencePeak, reference[i].Peak)
	}
	wall := func(m harness.Measurement) float64 { return m.Wall.Seconds() }
	ratio := harness.Median(ratios)
	fmt.Printf("%-24s %8.2f s, %5.1f MiB; pg_verifybackup %8.2f s, %5.1f MiB; ratio %.2f (%.2f to %.2f)%s%s\n",
		work, harness.Median(values(ours, wall)), mebibytes(peak), harness.Median(values(reference, wall)), mebibytes(referencePeak),
		ratio, slices.Min(ratios), slices.Max(ratios), harness.Missed(ratio > wallGoal, "wall"), harness.Missed(peak > peakGoal, "memory"))
	return nil
}

func values(all []harness.Measurement, of func(harness.Measurement) float64) (v []float64) {
	for _, m := range all {
		v = append(v, of(m))
	}
	return v
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
