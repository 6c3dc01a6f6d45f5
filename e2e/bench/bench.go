//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// bench is what the measurements share.
type bench struct {
	o         *options
	log       io.Writer
	dir       string // for everything that is made, except for the servers
	pgbasin   string
	dropIn    string // pgbasin under the reference's name
	reference string // pg_basebackup
	backups   int    // made so far
}

// newBench finds the programs and makes the directory for the backups, which
// close removes.
func newBench(o *options, log io.Writer) (*bench, error) {
	const advice = "the benchmark compares with pg_basebackup %[1]d: install PostgreSQL %[1]d (on Debian, the package postgresql-%[1]d), " +
		"or say in PGBASIN_PG_%[1]d where its programs are (%[2]w)"
	in, err := pgtest.Installation(major)
	if err != nil {
		return nil, fmt.Errorf(advice, major, err)
	}
	b := &bench{o: o, log: log}
	if b.reference, err = in.Path("pg_basebackup"); err != nil {
		return nil, fmt.Errorf(advice, major, err)
	}
	if b.pgbasin, err = filepath.Abs(o.pgbasin); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.pgbasin); err != nil {
		return nil, fmt.Errorf("%w (\"make build\" makes it)", err)
	}
	if err := checkSpace(o); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(o.dir, "pgbasin-bench-"); err != nil {
		return nil, err
	}
	b.dropIn = filepath.Join(b.dir, "pg_basebackup")
	if err := os.Symlink(b.pgbasin, b.dropIn); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// checkSpace sees to it that the disk can hold the database, its WAL and one
// backup: older ones are emptied.
func checkSpace(o *options) error {
	need := 2*o.size + 3<<30
	for _, dir := range []string{o.dir, os.TempDir()} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			return &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
		if free := int64(fs.Bavail) * int64(fs.Bsize); free < need {
			return fmt.Errorf("%s has %d MB free, and %d MB are needed (-size and -dir change that)", dir, free/mb, need/mb)
		}
	}
	return nil
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

// withServer calls f with a server that has a database of about size bytes.
func (b *bench) withServer(ctx context.Context, size int64, f func(*pgtest.Server) error) (err error) {
	fmt.Fprintf(b.log, "filling a database of %d MB\n", size/mb)
	s, err := pgtest.Launch(ctx, pgtest.Config{Major: major, Settings: map[string]string{
		// Nothing is to happen at a time of the server's choice.
		"autovacuum": "off", "checkpoint_timeout": "1h",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.FillData(ctx, size); err != nil {
		return err
	}
	return f(s)
}

// newOutput is a path for a backup. None is used twice, and nothing is removed
// before the end: where many files were removed a moment ago, ext4 is slow to
// make new ones.
func (b *bench) newOutput() string {
	b.backups++
	return filepath.Join(b.dir, fmt.Sprintf("backup-%d", b.backups))
}
