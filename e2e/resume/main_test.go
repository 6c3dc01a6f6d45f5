//go:build unix

package resume

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

var (
	majorsFlag = flag.String("majors", "17", "server versions for the tests with Matrix in their name; others run on 18")
	seedFlag   = flag.Uint64("seed", 0, "where random points come from; 0 is somewhere else each time")
)

// The program under test, under both of its names.
var pgbasin, pgBasebackup string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m, false, func(dir string) error {
		pgbasin, pgBasebackup = filepath.Join(dir, "pgbasin"), filepath.Join(dir, "pg_basebackup")
		return os.Symlink("pgbasin", pgBasebackup)
	}))
}

var few = harness.NewLimit(2)
