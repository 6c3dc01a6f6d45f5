//go:build linux || darwin

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

const (
	major      = 15 // of the servers and of the reference
	chainMajor = 18 // of the server that incremental backups are taken of
)

// side is a set of programs under PostgreSQL's names.
type side struct{ basebackup, receivewal, verifybackup string }

// bench is what the measurements share.
type bench struct {
	o       *options
	log     io.Writer
	dir     string // for everything that is made, except for the servers
	pgbasin string
	ours    side // pgbasin under the reference's names
	theirs  side
	pgbench string
	outputs int // made so far
}

// newBench finds the programs and makes the directory for the backups, which
// close removes.
func newBench(o *options, log io.Writer) (_ *bench, err error) {
	b := &bench{o: o, log: log}
	if err := b.findReference(); err != nil {
		return nil, fmt.Errorf("the benchmark compares with the programs of PostgreSQL %[1]d: install it (on Debian, the package postgresql-%[1]d), "+
			"or say in PGBASIN_PG_%[1]d where they are (%[2]w)", major, err)
	}
	for _, program := range []string{"tar", "zstd", "cp"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("the benchmark compares with %s: %w", program, err)
		}
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
	pgtest.Spread(b.dir)
	for name, path := range map[string]*string{
		"pg_basebackup": &b.ours.basebackup, "pg_receivewal": &b.ours.receivewal, "pg_verifybackup": &b.ours.verifybackup,
	} {
		*path = filepath.Join(b.dir, name)
		if err := os.Symlink(b.pgbasin, *path); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bench) findReference() error {
	in, err := pgtest.Installation(major)
	if err != nil {
		return err
	}
	for name, path := range map[string]*string{
		"pg_basebackup": &b.theirs.basebackup, "pg_receivewal": &b.theirs.receivewal, "pg_verifybackup": &b.theirs.verifybackup,
		"pgbench": &b.pgbench,
	} {
		if *path, err = in.Path(name); err != nil {
			return err
		}
	}
	return nil
}

// checkSpace sees to it that the disk can hold what is there at one time: a
// server, its WAL, the two backups of a chain, what they are combined to, and what
// is being written. What was measured is cut to nothing, but its files stay.
func checkSpace(o *options) error {
	bytes := 4*max(o.size, o.top) + 3<<30
	inodes := uint64(o.files) * uint64(4*(o.pairs+1)+4)
	for _, dir := range []string{o.dir, os.TempDir()} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			return &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
		if free := int64(fs.Bavail) * int64(fs.Bsize); free < bytes {
			return fmt.Errorf("%s has %d MB free, and %d MB are needed (-size and -dir change that)", dir, free/mb, bytes/mb)
		}
		// Some file systems have no fixed number, and say 0.
		if fs.Files > 0 && fs.Ffree < inodes {
			return fmt.Errorf("%s has room for %d files more, and %d are needed (-files, -pairs and -dir change that)", dir, fs.Ffree, inodes)
		}
	}
	return nil
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

// newOutput is a path for what a program writes. None is used twice, in other runs
// of the benchmark neither, and nothing is removed before the end: where files were
// removed a moment ago, ext4 is slow to make new ones, at the cost of who comes
// next (see pgtest.Spread). Files without content cost inodes only, those of the
// many files, too.
func (b *bench) newOutput() string {
	b.outputs++
	return filepath.Join(b.dir, fmt.Sprintf("%s-%d", filepath.Base(b.dir), b.outputs))
}

// empty cuts the files of a directory to nothing, so that backups do not fill the
// disk, and returns what their sizes were in sum, in bytes.
func empty(dir string) (size int64, err error) {
	err = eachFile(dir, func(path string, n int64) error {
		size += n
		return os.Truncate(path, 0)
	})
	return size, err
}

// total counts the files of a directory and their bytes.
func total(dir string) (files int, size int64, err error) {
	err = eachFile(dir, func(_ string, n int64) error {
		files++
		size += n
		return nil
	})
	return files, size, err
}

// eachFile calls f with the path and the size of every regular file below dir, in
// the order of their names.
func eachFile(dir string, f func(path string, size int64) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f(path, info.Size())
	})
}

// of says what a row works on.
func of(dir string) (string, error) {
	files, size, err := total(dir)
	return fmt.Sprintf("of %.0f MiB in %d files", mebibytes(size), files), err
}
