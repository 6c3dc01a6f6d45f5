//go:build linux && amd64

package filetrace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Program is one run of a program.
type Program struct {
	Path string
	Args []string // without the program's name
	Env  []string // NAME=value
	Dir  string
	// Output takes what the program says, on both of its outputs.
	Output *os.File

	// Calls are the names of the system calls that are shown; nil means Changes.
	Calls []string
	// Enter is called before a call is carried out, Leave afterwards, with the
	// calling thread standing still; other threads go on. Both are called on one
	// goroutine and may be nil. An error from them ends the program and is what
	// Run returns.
	Enter, Leave func(c *Call) error
	// Started is told the process ID before the program's first instruction.
	Started func(pid int)
}

// Status is how a program ended.
type Status struct {
	Exit   int            // -1 if a signal ended it
	Signal syscall.Signal // 0 if it exited
}

// Run runs the program to its end. When ctx ends the program is killed, and the
// error is ctx's cause.
func (p *Program) Run(ctx context.Context) (Status, error) {
	// Only the thread that started a traced process may wait for it. It is not
	// unlocked, so that it ends with the goroutine.
	type result struct {
		status Status
		err    error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		t := &tracer{p: p, under: map[int]*Call{}, threads: map[int]bool{}, names: map[uint64]string{}}
		status, err := t.run(ctx)
		done <- result{status, err}
	}()
	r := <-done
	if ctx.Err() != nil {
		return r.status, context.Cause(ctx)
	}
	return r.status, r.err
}

type tracer struct {
	p       *Program
	pid     int
	threads map[int]bool  // that were seen
	under   map[int]*Call // under way, by thread
	names   map[uint64]string
	err     error // the first one
}

func (t *tracer) run(ctx context.Context) (Status, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return Status{Exit: -1}, err
	}
	defer null.Close()
	out := t.p.Output
	if out == nil {
		out = null
	}
	names := t.p.Calls
	if names == nil {
		names = Changes
	}
	var calls []uint32
	for _, name := range names {
		nr, ok := numbers[name]
		if !ok {
			return Status{Exit: -1}, fmt.Errorf("system call %q is not known here", name)
		}
		t.names[uint64(nr)] = name
		calls = append(calls, uint32(nr))
	}
	t.pid, err = syscall.ForkExec(t.p.Path, append([]string{t.p.Path}, t.p.Args...), &syscall.ProcAttr{
		Dir: t.p.Dir, Env: t.p.Env, Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return Status{Exit: -1}, fmt.Errorf("could not start %q: %w", t.p.Path, err)
	}
	if err := t.begin(calls); err != nil {
		unix.Kill(t.pid, unix.SIGKILL)
		var status unix.WaitStatus
		unix.Wait4(t.pid, &status, unix.WALL, nil)
		return Status{Exit: -1}, err
	}
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			unix.Kill(t.pid, unix.SIGKILL)
		case <-ended:
		}
	}()
	status, err := t.loop()
	close(ended)
	<-watched
	return status, errors.Join(t.err, err)
}

func (t *tracer) begin(calls []uint32) error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.pid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("%q did not stop at its beginning: wait status %#x, %v", t.p.Path, int(status), err)
	}
	t.threads[t.pid] = true
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(t.pid, options); err != nil {
		return fmt.Errorf("could not trace %q: %w", t.p.Path, err)
	}
	if err := install(t.pid, calls); err != nil {
		return err
	}
	if t.p.Started != nil {
		t.p.Started(t.pid)
	}
	return unix.PtraceCont(t.pid, 0)
}

// loop serves one stop after the other until the process is gone.
func (t *tracer) loop() (Status, error) {
	for {
		var status unix.WaitStatus
		// Only the program's process group, and only what this thread traces:
		// other children are not for this goroutine to wait for.
		tid, err := unix.Wait4(-t.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return Status{Exit: -1}, fmt.Errorf("could not wait for process %d: %w", t.pid, err)
		case status.Exited() || status.Signaled():
			delete(t.under, tid)
			if tid == t.pid {
				return ended(status), nil
			}
			continue
		}
		if err := t.stopped(tid, status); err != nil && !errors.Is(err, unix.ESRCH) {
			t.fail(err)
		}
	}
}

func ended(status unix.WaitStatus) Status {
	if status.Exited() {
		return Status{Exit: status.ExitStatus()}
	}
	return Status{Exit: -1, Signal: status.Signal()}
}

// fail ends the program.
func (t *tracer) fail(err error) {
	if t.err == nil {
		t.err = err
	}
	unix.Kill(t.pid, unix.SIGKILL)
}

// stopped serves a stop of a thread and lets it go on. ESRCH means that it was
// killed in the meantime.
func (t *tracer) stopped(tid int, status unix.WaitStatus) error {
	signal := status.StopSignal()
	first := !t.threads[tid]
	t.threads[tid] = true
	switch {
	case signal == unix.SIGTRAP|0x80:
		return t.leave(tid)
	case signal == unix.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
		return t.enter(tid)
	case signal == unix.SIGTRAP && status.TrapCause() > 0:
		return unix.PtraceCont(tid, 0)
	case signal == unix.SIGSTOP && first:
		return unix.PtraceCont(tid, 0) // how a new thread reports
	}
	return unix.PtraceCont(tid, int(signal))
}

func (t *tracer) enter(tid int) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return err
	}
	c := &Call{
		Name: t.names[regs.Orig_rax], pid: t.pid, tid: tid,
		Args: [6]uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9},
	}
	if t.p.Enter != nil && t.err == nil {
		if err := t.p.Enter(c); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	changed := true
	switch {
	case c.Kill:
		return unix.Kill(t.pid, unix.SIGKILL)
	case c.Fail != 0:
		regs.Orig_rax, regs.Rax = ^uint64(0), uint64(-int64(c.Fail))
	case c.Short != 0:
		arg := &regs.Rdx
		if strings.HasPrefix(c.Name, "copy_file_range") || c.Name == "splice" {
			arg = &regs.R8
		} else if c.Name == "sendfile" {
			arg = &regs.R10
		}
		*arg = min(*arg, c.Short)
	default:
		changed = false
	}
	if changed {
		if err := unix.PtraceSetRegs(tid, &regs); err != nil {
			return err
		}
	}
	t.under[tid] = c
	return unix.PtraceSyscall(tid, 0)
}

func (t *tracer) leave(tid int) error {
	c := t.under[tid]
	delete(t.under, tid)
	if c == nil {
		return unix.PtraceCont(tid, 0)
	}
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return err
	}
	if c.FailAfter != 0 {
		regs.Rax = uint64(-int64(c.FailAfter))
		if err := unix.PtraceSetRegs(tid, &regs); err != nil {
			return err
		}
	}
	c.Result = int64(regs.Rax)
	if t.p.Leave != nil && t.err == nil {
		if err := t.p.Leave(c); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	if c.Kill {
		return unix.Kill(t.pid, unix.SIGKILL)
	}
	return unix.PtraceCont(tid, 0)
}
