//go:build linux

package prove

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// patience is how long a program may take.
const patience = 120 * time.Second

// outcome is what a program did.
type outcome struct {
	status         int
	stdout, stderr string
}

// command makes a call of the program under test with standard input, which may
// be nil. It is killed when it takes too long.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, wait func() outcome) {
	t.Helper()
	cmd = exec.Command(pgbasin, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, "/"
	return cmd, func() outcome {
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
}

// run runs the program under test to its end.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd, wait := command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return wait()
}

// succeed runs the program under test, which must succeed.
func succeed(t *testing.T, args ...string) {
	t.Helper()
	if o := run(t, args...); o.status != 0 {
		t.Fatalf("pgbasin %s: exit status %d\n%s%s", strings.Join(args, " "), o.status, o.stdout, o.stderr)
	}
}

// proof is what prove reported.
type proof struct {
	outcome
	report struct {
		OK         bool
		Timeline   uint32
		Replayed   string   `json:"replayed_lsn"`
		LastCommit string   `json:"last_commit"`
		Age        *float64 `json:"data_age_seconds"`
		Target     *struct{ Kind, Value, Stopped string }
		Log        string
	}
	suite junitSuite
}

type junitSuite struct {
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string `xml:"name,attr"`
	Class   string `xml:"classname,attr"`
	Failure *struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	} `xml:"failure"`
	Skipped *struct{} `xml:"skipped"`
}

// place is where proofs are made on this machine, for a server of a version.
func place(t *testing.T, major int) (scratch string, args []string) {
	t.Helper()
	in, err := pgtest.Installation(major)
	if err != nil {
		t.Fatal(err)
	}
	scratch = pgtest.TempDir(t)
	args = []string{"--bindir", in.BinDir, "--scratch", scratch}
	if os.Geteuid() == 0 {
		if _, err := user.Lookup("postgres"); err != nil {
			args = append(args, "--run-as", "nobody")
		}
	}
	return scratch, args
}

// prove proves a backup with a server of a version, and checks what both reports
// say, and that nothing is left.
func prove(t *testing.T, major int, args ...string) proof {
	t.Helper()
	scratch, where := place(t, major)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	args = slices.Concat([]string{"prove", "--json", "--junit", junit}, where, args)
	var p proof
	p.outcome = run(t, args...)
	p.read(t, junit)
	nothingLeft(t, scratch)
	if t.Failed() {
		t.Logf("pgbasin %s\n%s%s", strings.Join(args, " "), p.stdout, p.stderr)
	}
	return p
}

func (p *proof) read(t *testing.T, junit string) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.stdout), &p.report); err != nil || strings.Count(p.stdout, "\n") != 1 {
		t.Fatalf("standard output is not one line of JSON: %v\n%s%s", err, p.stdout, p.stderr)
	}
	text, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suite junitSuite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Fatal(err)
	}
	p.suite = suites.Suite
	if p.report.OK != (p.status == 0) || p.report.OK != (p.suite.Failures == 0) || p.suite.Tests != len(p.suite.Cases) || p.suite.Tests == 0 {
		t.Errorf("exit status %d, ok %v, %d of %d test cases failed", p.status, p.report.OK, p.suite.Failures, p.suite.Tests)
	}
}

// failed returns the names of the cases that failed.
func (p *proof) failed() []string {
	var names []string
	for _, c := range p.suite.Cases {
		if c.Failure != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// holds fails the test if anything did not hold.
func (p *proof) holds(t *testing.T) {
	t.Helper()
	for _, c := range p.suite.Cases {
		if c.Failure != nil {
			t.Errorf("%s: %s", c.Name, c.Failure.Message)
		}
		if c.Skipped != nil {
			t.Errorf("%s was skipped", c.Name)
		}
	}
	if p.status != 0 {
		t.Errorf("exit status %d\n%s", p.status, p.stderr)
	}
	if t.Failed() {
		t.Logf("log:\n%s", p.report.Log)
	}
}

// failsOnly fails the test unless one case failed, and for that reason.
func (p *proof) failsOnly(t *testing.T, name, message string) {
	t.Helper()
	if got := p.failed(); len(got) != 1 || got[0] != name {
		t.Errorf("failed: %q, want %q", got, name)
	}
	for _, c := range p.suite.Cases {
		if c.Name == name && c.Failure != nil && !strings.Contains(c.Failure.Text, message) {
			t.Errorf("%s failed with %q, want %q", name, c.Failure.Text, message)
		}
	}
	if p.status != 1 {
		t.Errorf("exit status %d", p.status)
	}
	if t.Failed() {
		t.Logf("%s\nlog:\n%s", p.stderr, p.report.Log)
	}
}

// nothingLeft fails the test when a directory for scratch directories is not
// empty, or a process works in it.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s is left", entry.Name())
	}
	if n := processesIn(t, dir); n > 0 {
		t.Errorf("%d processes still run", n)
	}
}

// processesIn counts the processes whose working directory is in dir.
func processesIn(t *testing.T, dir string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			n++
		}
	}
	return n
}
