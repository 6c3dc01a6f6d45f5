//go:build linux

package combine

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

var majorsFlag = flag.String("majors", "18", "server versions for the tests with Matrix in their name; 17 is the first")

// The programs under test: the same file under both of its names.
var pgbasin, pgCombinebackup string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m, false, func(dir string) error {
		pgbasin, pgCombinebackup = filepath.Join(dir, "pgbasin"), filepath.Join(dir, "pg_combinebackup")
		return os.Symlink("pgbasin", pgCombinebackup)
	}))
}

var few = harness.NewLimit(2)

// mustRun runs a program that has nothing to complain about.
func mustRun(t *testing.T, program string, args ...string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, stderr.Bytes())
	}
}
