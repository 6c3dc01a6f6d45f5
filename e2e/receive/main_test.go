//go:build linux

package receive

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

var (
	majorsFlag = flag.String("majors", "10,15,18", "server versions for the tests with Matrix in their name")
	killsFlag  = flag.Int("kills", 30, "how many times the receiver is killed on each version")
)

// pgbasin is the program under test.
var pgbasin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m, false, func(dir string) error {
		pgbasin = filepath.Join(dir, "pgbasin")
		return nil
	}))
}

// few are tests that wait for servers most of the time.
var few = harness.NewLimit(3)

// together runs the rest of a test beside others.
func together(t *testing.T) {
	t.Helper()
	few.Together(t)
}

// onMajors runs test for each major that -majors names.
func onMajors(t *testing.T, test func(t *testing.T, major int)) {
	few.Each(t, harness.Majors(t, *majorsFlag), test)
}
