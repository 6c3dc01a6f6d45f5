//go:build linux

package verify

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

var majorsFlag = flag.String("majors", "13,15,18", "server versions for the tests with Matrix in their name")

// The programs under test: the same file under both of its names.
var pgbasin, pgVerifybackup string

// oracle is PostgreSQL's own tool.
var oracle string

// The backups that tests change copies of: the same server's in both formats.
var plainBackup, tarBackup string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m, false, prepare))
}

// prepare takes the backups.
func prepare(dir string) (err error) {
	pgbasin, pgVerifybackup = filepath.Join(dir, "pgbasin"), filepath.Join(dir, "pg_verifybackup")
	if err := os.Symlink("pgbasin", pgVerifybackup); err != nil {
		return err
	}
	in, err := pgtest.Installation(15)
	if err != nil {
		return err
	}
	if oracle, err = in.Path("pg_verifybackup"); err != nil {
		return err
	}
	basebackup, err := in.Path("pg_basebackup")
	if err != nil {
		return err
	}
	ctx := context.Background()
	checksums := true
	s, err := pgtest.Launch(ctx, pgtest.Config{Major: 15, WALSegSize: 1, Checksums: &checksums})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	space, err := s.MakeTablespace(ctx, "elsewhere")
	if err != nil {
		return err
	}
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"create table t as select i, repeat('x', 200) as filler from generate_series(1, 2000) i",
		"create index on t (i)",
		"create table s tablespace elsewhere as select i from generate_series(1, 2000) i",
		"vacuum t",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	plainBackup, tarBackup = filepath.Join(dir, "plain"), filepath.Join(dir, "tar")
	for _, args := range [][]string{
		{"-D", plainBackup, "-Fp", "-T", space + "=" + filepath.Join(dir, "elsewhere")},
		{"-D", tarBackup, "-Ft"},
	} {
		args = append(args, "-X", "stream", "-c", "fast", "--no-sync", "-d", s.DSN())
		if out, err := exec.Command(basebackup, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("pg_basebackup %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	// What copies have links to is read by everybody.
	return filepath.WalkDir(plainBackup, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}

var few = harness.NewLimit(2)

// onMajors runs test for each major that -majors names.
func onMajors(t *testing.T, test func(t *testing.T, major int)) {
	few.Each(t, harness.Majors(t, *majorsFlag), test)
}
