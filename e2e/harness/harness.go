//go:build unix

// Package harness is what the end-to-end tests have in common: the program under
// test, and the server versions that they run on.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// Main builds pgbasin into a directory that users without rights can read,
// prepares with prepare, which may be nil, runs the tests and returns the exit
// status. The directory is removed at the end.
func Main(m *testing.M, race bool, prepare func(dir string) error) (status int) {
	defer pgtest.DefaultSignals()()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "pgbasin-e2e-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return fail(err)
	}
	if err := build(filepath.Join(dir, "pgbasin"), race); err != nil {
		return fail(err)
	}
	if prepare != nil {
		if err := prepare(dir); err != nil {
			return fail(err)
		}
	}
	return m.Run()
}

func build(path string, race bool) error {
	build := exec.Command("go", "build", "-o", path)
	if race {
		build.Args = append(build.Args, "-race")
	} else {
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	build.Args = append(build.Args, "github.com/pgbasin/pgbasin/cmd/pgbasin")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("could not build the program under test: %w\n%s", err, out)
	}
	return nil
}

// Majors reads a list of major versions, such as "10,15,18".
func Majors(t testing.TB, list string) []int {
	t.Helper()
	var majors []int
	for _, text := range strings.Split(list, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			t.Fatalf("-majors %q: %v", list, err)
		}
		majors = append(majors, major)
	}
	return majors
}

// Limit is how many tests that are heavy on the machine run at a time.
type Limit chan struct{}

// NewLimit lets n tests run at a time.
func NewLimit(n int) Limit { return make(Limit, n) }

// Together runs the rest of a test beside others, when there is room for it,
// until everything is cleaned up that it registers afterwards.
func (l Limit) Together(t *testing.T) {
	t.Helper()
	t.Parallel()
	l <- struct{}{}
	t.Cleanup(func() { <-l })
}

// Each runs test as a subtest for each major.
func (l Limit) Each(t *testing.T, majors []int, test func(t *testing.T, major int)) {
	t.Helper()
	for _, major := range majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			l.Together(t)
			test(t, major)
		})
	}
}
