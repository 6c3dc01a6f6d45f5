package prove

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// process is a program that runs.
type process struct {
	cmd  *exec.Cmd
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // of Wait; valid when done is closed
}

// start starts cmd as o, in a process group of its own: what a terminal sends to
// the foreground is not meant for it. On Linux it ends when this process does,
// whatever ends that.
func start(cmd *exec.Cmd, o owner) (*process, error) {
	attr, err := sysProcAttr(o)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = attr
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread that started the
		// child ends: it must not go before the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// shutdown is a signal to a server and how long its effect is waited for.
type shutdown struct {
	signal os.Signal
	wait   time.Duration
}

// stop sends the signals one after the other until the process has ended, and at
// last kills it and what it started.
func (p *process) stop(steps ...shutdown) error {
	if p.ended() {
		return nil // and its number may be another process's by now
	}
	family := descendants(p.pid)
	for _, s := range steps {
		if p.ended() {
			break
		}
		if err := p.cmd.Process.Signal(s.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("could not stop the server: %w", err)
		}
		timer := time.NewTimer(s.wait)
		select {
		case <-p.done:
		case <-timer.C:
		}
		timer.Stop()
	}
	if !p.ended() {
		return p.kill()
	}
	// What does not end by itself is still in the process's group, unlike the
	// children of a server, which end before it.
	killGroup(p.pid)
	return gone(family)
}

// killPatience is how long a killed process may take to go: it may be in the
// middle of a write to a slow disk.
const killPatience = 30 * time.Second

// kill ends the process and all that it started, and waits until they are gone.
func (p *process) kill() error {
	if p.ended() {
		return nil
	}
	// A server's children are in groups of their own.
	family := descendants(p.pid)
	killGroup(p.pid)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("could not kill process %d: %w", p.pid, err)
	}
	for _, pid := range family {
		if child, err := os.FindProcess(pid); err == nil {
			_ = child.Kill() // most have noticed by themselves, and are gone
		}
	}
	timer := time.NewTimer(killPatience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return fmt.Errorf("process %d does not end", p.pid)
	}
	return gone(family)
}

// gone waits until none of the processes runs.
func gone(pids []int) error {
	deadline := time.NewTimer(killPatience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, pid := range pids {
		for running(pid) {
			select {
			case <-tick.C:
			case <-deadline.C:
				return fmt.Errorf("process %d does not end", pid)
			}
		}
	}
	return nil
}
