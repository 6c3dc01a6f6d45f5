//go:build linux

package prove

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

var majorsFlag = flag.String("majors", "", "server versions for the tests with Matrix in their name, instead of a few")

// pgbasin is the program under test. Servers run it, too.
var pgbasin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m, false, func(dir string) error {
		pgbasin = filepath.Join(dir, "pgbasin")
		return nil
	}))
}

var slots = harness.NewLimit(2)

func together(t *testing.T) {
	t.Helper()
	slots.Together(t)
}

// onMajors runs test for each major that -majors names, and without it for a few.
func onMajors(t *testing.T, few string, test func(t *testing.T, major int)) {
	if *majorsFlag != "" {
		few = *majorsFlag
	}
	slots.Each(t, harness.Majors(t, few), test)
}
