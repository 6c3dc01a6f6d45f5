//go:build linux

package lab

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

var majorsFlag = flag.String("majors", "10,15,18", "server versions for the tests with Matrix in their name")

// pgbasin is the program under test. Servers run it, too.
var pgbasin string

func TestMain(m *testing.M) {
	flag.Parse()
	status := harness.Main(m, false, func(dir string) error {
		pgbasin = filepath.Join(dir, "pgbasin")
		return nil
	})
	closeLabs()
	os.Exit(status)
}

var few = harness.NewLimit(2)

// onMajors runs a section of the lab on each major that -majors names.
func onMajors(t *testing.T, section func(t *testing.T, l *lab)) {
	few.Each(t, harness.Majors(t, *majorsFlag), func(t *testing.T, major int) { section(t, labOf(t, major)) })
}
