//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// patience is how long a program may take; none takes a tenth of it on a
// machine that is not overloaded.
const patience = 120 * time.Second

// outcome is what a script sees of a program.
type outcome struct {
	status         int // -1 if a signal ended it
	stdout, stderr string
	state          *os.ProcessState
}

// program is one call of a program.
type program struct {
	path   string
	args   []string
	env    []string // NAME=value; nothing else but PATH and TMPDIR is set
	stdout io.Writer
	uid    int // user to run as, if not 0

	cmd         *exec.Cmd
	out, errOut locked
}

// locked can be read while the program writes.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts the program, which is killed when the test ends before it does.
func (p *program) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "HOME=/nonexistent"}, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, &p.errOut
	if p.stdout == nil {
		p.cmd.Stdout = &p.out
	}
	p.cmd.Dir = "/"
	if p.uid != 0 {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.uid), Gid: uint32(p.uid)}}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
}

// wait returns what the program said and how it ended.
func (p *program) wait(t *testing.T) outcome {
	t.Helper()
	killed := time.AfterFunc(patience, func() { p.cmd.Process.Signal(syscall.SIGQUIT) })
	err := p.cmd.Wait()
	if !killed.Stop() {
		t.Fatalf("%s %s did not end within %v:\n%s", p.path, strings.Join(p.args, " "), patience, p.errOut.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{p.cmd.ProcessState.ExitCode(), p.out.String(), p.errOut.String(), p.cmd.ProcessState}
}

func (p *program) run(t *testing.T) outcome {
	t.Helper()
	p.start(t)
	return p.wait(t)
}

// run runs a program to its end.
func run(t *testing.T, path string, args ...string) outcome {
	t.Helper()
	return (&program{path: path, args: args}).run(t)
}

// tool runs a program that is not under test and has to succeed.
func tool(t *testing.T, path string, args ...string) {
	t.Helper()
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", path, strings.Join(args, " "), err, out)
	}
}

// succeeded fails the test unless the program has succeeded.
func (o outcome) succeeded(t *testing.T) {
	t.Helper()
	if o.status != 0 {
		t.Fatalf("exit status %d (%v)\nstdout: %s\nstderr: %s", o.status, o.state, o.stdout, o.stderr)
	}
}

// quiet fails the test unless the program has succeeded without a word.
func (o outcome) quiet(t *testing.T) {
	t.Helper()
	o.succeeded(t)
	if o.stdout != "" || o.stderr != "" {
		t.Errorf("a successful backup has output\nstdout: %s\nstderr: %s", o.stdout, o.stderr)
	}
}

// report is what --json prints.
type report struct {
	Error            *string `json:"error"`
	SQLState         *string `json:"sqlstate"`
	SystemIdentifier string  `json:"system_identifier"`
	ServerVersion    string  `json:"server_version"`
	Timeline         uint32  `json:"timeline"`
	StartLSN         string  `json:"start_lsn"`
	StopLSN          string  `json:"stop_lsn"`
	DurationSeconds  float64 `json:"duration_seconds"`
	Bytes            int64   `json:"bytes"`
	WALBytes         int64   `json:"wal_bytes"`
	Files            int64   `json:"files"`
	Manifest         bool    `json:"manifest"`
	Verified         bool    `json:"verified"`
	Incremental      bool    `json:"incremental"`
	FromLSN          string  `json:"incremental_from_lsn"`
	FromTimeline     uint32  `json:"incremental_from_timeline"`
	Tablespaces      []struct {
		OID      uint32 `json:"oid"`
		Location string `json:"location"`
		Path     string `json:"path"`
		Bytes    int64  `json:"bytes"`
	} `json:"tablespaces"`
}

// parseReport reads the one line that --json prints.
func parseReport(t *testing.T, text string) *report {
	t.Helper()
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Errorf("--json printed more or less than one line: %q", text)
	}
	r := &report{}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatalf("--json printed %q: %v", text, err)
	}
	return r
}

// shortConnection and longConnection are the options that reach a server.
func shortConnection(s *pgtest.Server) []string {
	return []string{"-h", s.SocketDir(), "-p" + strconv.Itoa(s.Port()), "-Upostgres"}
}

func longConnection(s *pgtest.Server) []string {
	return []string{"--host=" + s.SocketDir(), "--port", strconv.Itoa(s.Port()), "--username=postgres"}
}

// backupTo is "pgbasin backup" with everything that makes it quick.
func backupTo(s *pgtest.Server, dir string, more ...string) []string {
	args := append([]string{"backup", "-D", dir, "-cfast", "-N"}, longConnection(s)...)
	return append(args, more...)
}

// failed fails the test unless the program has ended with exit status 1 and one
// error, which holds all of the words.
func (o outcome) failed(t *testing.T, words ...string) {
	t.Helper()
	var errs []string
	for _, line := range strings.Split(o.stderr, "\n") {
		if strings.Contains(line, ": error: ") {
			errs = append(errs, line)
		}
	}
	describe := func(what string) {
		t.Helper()
		t.Errorf("%s\nexit status %d (%v)\nstdout: %s\nstderr: %s", what, o.status, o.state, o.stdout, o.stderr)
	}
	if o.status != 1 {
		describe("exit status is not 1")
		return
	}
	if len(errs) != 1 {
		describe(fmt.Sprintf("%d errors, want one", len(errs)))
		return
	}
	for _, word := range words {
		if !strings.Contains(o.stderr, word) {
			describe(fmt.Sprintf("the error does not say %q", word))
			return
		}
	}
	if o.stdout != "" {
		describe("a failure has output on stdout")
	}
}
