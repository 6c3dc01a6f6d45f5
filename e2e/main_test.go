//go:build unix

package e2e

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

var majorsFlag = flag.String("majors", "10,15,18", "server versions for the tests with Matrix in their name")

// The programs under test: the same file under both of its names.
var pgbasin, pgBasebackup string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pgbasin-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// A test runs the program as a user that has no rights.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pgbasin, pgBasebackup = filepath.Join(dir, "pgbasin"), filepath.Join(dir, "pg_basebackup")
	build := exec.Command("go", "build", "-o", pgbasin)
	if race {
		build.Args = append(build.Args, "-race")
	} else {
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	build.Args = append(build.Args, "github.com/pgbasin/pgbasin/cmd/pgbasin")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "could not build the program under test: %v\n", err)
		return 1
	}
	if err := os.Symlink("pgbasin", pgBasebackup); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// matrixMajors are the majors that -majors names.
func matrixMajors(t *testing.T) []int {
	t.Helper()
	var majors []int
	for _, text := range strings.Split(*majorsFlag, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			t.Fatalf("-majors %q: %v", *majorsFlag, err)
		}
		majors = append(majors, major)
	}
	return majors
}

// few lets two of the subtests that are heavy on the machine run at a time.
var few = make(chan struct{}, 2)

// onMajors runs test for each major.
func onMajors(t *testing.T, majors []int, test func(t *testing.T, major int)) {
	for _, major := range majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			few <- struct{}{}
			defer func() { <-few }()
			test(t, major)
		})
	}
}
