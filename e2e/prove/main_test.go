//go:build linux

package prove

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var majorsFlag = flag.String("majors", "", "server versions for the tests with Matrix in their name, instead of a few")

// pgbasin is the program under test.
var pgbasin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pgbasin-prove-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Servers run the program, as a user of their own.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pgbasin = filepath.Join(dir, "pgbasin")
	build := exec.Command("go", "build", "-o", pgbasin, "github.com/pgbasin/pgbasin/cmd/pgbasin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "could not build the program under test: %v\n", err)
		return 1
	}
	return m.Run()
}

// slots lets so many tests work at a time.
var slots = make(chan struct{}, 2)

func together(t *testing.T) {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
}

// onMajors runs test for each major that -majors names, and without it for a few.
func onMajors(t *testing.T, few string, test func(t *testing.T, major int)) {
	majors := *majorsFlag
	if majors == "" {
		majors = few
	}
	for _, text := range strings.Split(majors, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			t.Fatalf("-majors %q: %v", majors, err)
		}
		t.Run(text, func(t *testing.T) {
			together(t)
			test(t, major)
		})
	}
}
