//go:build linux

package lab

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

// pgbasin is the program under test.
var pgbasin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pgbasin-lab-")
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
	defer closeLabs()
	return m.Run()
}

// few lets so many majors be worked on at a time.
var few = make(chan struct{}, 2)

// onMajors runs a section of the lab on each major that -majors names.
func onMajors(t *testing.T, section func(t *testing.T, l *lab)) {
	for _, text := range strings.Split(*majorsFlag, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			t.Fatalf("-majors %q: %v", *majorsFlag, err)
		}
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			few <- struct{}{}
			defer func() { <-few }()
			section(t, labOf(t, major))
		})
	}
}
