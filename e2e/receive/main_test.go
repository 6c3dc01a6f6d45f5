//go:build linux

package receive

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

var (
	majorsFlag = flag.String("majors", "10,15,18", "server versions for the tests with Matrix in their name")
	killsFlag  = flag.Int("kills", 30, "how many times the receiver is killed on each version")
)

// pgbasin is the program under test.
var pgbasin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pgbasin-receive-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
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

// few lets so many of the tests that wait for servers most of the time run
// together.
var few = make(chan struct{}, 3)

// together runs the rest of a test beside others.
func together(t *testing.T) {
	t.Helper()
	t.Parallel()
	few <- struct{}{}
	t.Cleanup(func() { <-few })
}

// onMajors runs test for each major that -majors names.
func onMajors(t *testing.T, test func(t *testing.T, major int)) {
	for _, text := range strings.Split(*majorsFlag, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			t.Fatalf("-majors %q: %v", *majorsFlag, err)
		}
		t.Run(text, func(t *testing.T) {
			together(t)
			test(t, major)
		})
	}
}
