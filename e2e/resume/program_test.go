//go:build unix

package resume

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is how long a program may take.
const patience = 120 * time.Second

// program is one call of the program under test.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan struct{}
	err            error // of Wait, when done is closed
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	return startAs(t, pgbasin, args...)
}

func startAs(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = &p.stdout, &p.stderr, "/"
	p.cmd.Env = append(os.Environ(), "PGUSER=postgres")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.done })
	return p
}

// wait returns the exit status, -1 if a signal ended the program.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("did not end within %v", patience)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatal(p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// succeeded waits for the program, which must succeed.
func (p *program) succeeded(t *testing.T) {
	t.Helper()
	if status := p.wait(t); status != 0 {
		t.Fatalf("%s: exit status %d\n%s%s", strings.Join(p.cmd.Args, " "), status, p.stdout.String(), p.stderr.String())
	}
}

// kill ends the program as a crash would.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(t); status != -1 {
		t.Fatalf("ended by itself with status %d:\n%s", status, p.stderr.String())
	}
}

// report is what --json prints.
type report struct {
	Timeline  uint32 `json:"timeline"`
	StartLSN  string `json:"start_lsn"`
	Bytes     int64  `json:"bytes"`
	KeptBytes int64  `json:"kept_bytes"`
	Attempts  int    `json:"attempts"`
	Verified  bool   `json:"verified"`
}

func (p *program) report(t *testing.T) (r report) {
	t.Helper()
	if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v: %q", err, p.stdout.String())
	}
	if !r.Verified {
		t.Errorf("the backup was not verified: %s", p.stdout.String())
	}
	return r
}

func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

// ended tells whether the program has ended.
func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// eventually waits for what must come to hold.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
