//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

// program is a run of pgbasin as the server's user.
type program struct {
	cmd   *exec.Cmd
	said  output
	ended chan struct{}
}

// output keeps the last of what a program says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const outputKept = 16 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	if over := o.b.Len() - outputKept; over > 0 {
		o.b.Next(over)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts pgbasin. It ends at the latest when this process does, and does
// not get what a terminal sends to the foreground.
func (s *soak) start(args ...string) (*program, error) {
	p := &program{cmd: exec.Command(s.program, args...), ended: make(chan struct{})}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + s.path("scratch")}
	p.cmd.Dir = s.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if uid, gid, other := s.server.User(); other {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state tells
	}()
	return p, nil
}

// kill ends the program as a crash does.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// interrupt asks the program to end, and waits.
func (p *program) interrupt() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
}

func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// failed is the error of a program that has ended.
func (p *program) failed() error {
	if p.cmd.ProcessState.Success() {
		return nil
	}
	return fmt.Errorf("pgbasin %s: %v\n%s", strings.Join(p.cmd.Args[1:], " "), p.cmd.ProcessState, p.said.String())
}

// peak is the program's highest resident set so far, in bytes.
func (p *program) peak() int64 { return harness.ResidentPeak(p.cmd.Process.Pid) }
