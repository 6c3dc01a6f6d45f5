//go:build unix

package e2e

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

var majorsFlag = flag.String("majors", "10,15,18", "server versions for the tests with Matrix in their name")

// The programs under test: the same file under both of its names.
var pgbasin, pgBasebackup string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m, race, func(dir string) error {
		pgbasin, pgBasebackup = filepath.Join(dir, "pgbasin"), filepath.Join(dir, "pg_basebackup")
		return errors.Join(os.Symlink("pgbasin", pgBasebackup), os.Symlink("pgbasin", filepath.Join(dir, "pg_verifybackup")))
	}))
}

// matrixMajors are the majors that -majors names.
func matrixMajors(t *testing.T) []int { return harness.Majors(t, *majorsFlag) }

var few = harness.NewLimit(2)

// onMajors runs test for each major.
func onMajors(t *testing.T, majors []int, test func(t *testing.T, major int)) {
	few.Each(t, majors, test)
}
