//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

// measurement is what one run of a program took, with its children.
type measurement struct {
	wall, cpu time.Duration
	memory    int64   // highest resident set, in bytes
	size      int64   // of the output, in bytes; 0 if there is none, or if it went to /dev/null
	rate      float64 // in the unit of the row; 0 where the time counts
}

// process is a program that is being measured.
type process struct {
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	started time.Time
	peak    func() int64
}

// start starts a program whose temporary files go to the benchmark's directory.
// Without stdin and stdout it has /dev/null there.
func (b *bench) start(ctx context.Context, stdin, stdout *os.File, command ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, command[0], command[1:]...)}
	p.cmd.Env = append(os.Environ(), "TMPDIR="+b.dir)
	p.cmd.Stderr = &p.stderr
	if stdin != nil {
		p.cmd.Stdin = stdin
	}
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 10 * time.Second
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.peak = watchPeak(p.cmd.Process.Pid)
	return p, nil
}

// wait waits for the end of the program.
func (p *process) wait(ctx context.Context) (measurement, error) {
	err := p.cmd.Wait()
	m := measurement{wall: time.Since(p.started)}
	seen := p.peak()
	if ctx.Err() != nil {
		return m, context.Cause(ctx)
	}
	if err != nil {
		return m, fmt.Errorf("%q: %w\n%s", p.cmd.Args, err, p.stderr.Bytes())
	}
	m.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	m.memory = peakMemory(p.cmd.ProcessState, seen)
	return m, nil
}

// measure runs a program.
func (b *bench) measure(ctx context.Context, command ...string) (measurement, error) {
	p, err := b.start(ctx, nil, nil, command...)
	if err != nil {
		return measurement{}, err
	}
	return p.wait(ctx)
}

// pipe runs two programs, of which the second reads what the first writes. Their
// memory is added.
func (b *bench) pipe(ctx context.Context, from, to []string) (measurement, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return measurement{}, err
	}
	first, err := b.start(ctx, nil, w, from...)
	err = errors.Join(err, w.Close())
	if err != nil {
		return measurement{}, errors.Join(err, r.Close())
	}
	second, err := b.start(ctx, r, nil, to...)
	r.Close() // the program has its own; without a second one the first ends now
	if err != nil {
		_, _ = first.wait(ctx)
		return measurement{}, err
	}
	m, err := second.wait(ctx)
	from1, err1 := first.wait(ctx)
	m.wall = max(m.wall, from1.wall)
	m.cpu += from1.cpu
	m.memory += from1.memory
	return m, errors.Join(err, err1)
}

// then adds what was run afterwards.
func (m measurement) then(next measurement) measurement {
	m.wall += next.wall
	m.cpu += next.cpu
	m.memory = max(m.memory, next.memory)
	return m
}

// peakMemory is the highest resident set of a process that has ended, in bytes;
// seen is the highest that was seen while it ran.
func peakMemory(state *os.ProcessState, seen int64) int64 {
	accounted := int64(state.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS == "linux" {
		accounted <<= 10 // in kB there
	}
	return likelierPeak(accounted, seen, harness.ResidentPeak(os.Getpid()))
}

// likelierPeak chooses between two figures of a process.
//
// What Linux accounts to a process includes what it was before it executed the
// program: this program's own memory. Where it is not clearly above that, what was
// seen while the process ran is nearer to the truth. Clearly, because what Linux
// says of this program at different times is inexact: each processor counts for
// itself.
func likelierPeak(accounted, seen, own int64) int64 {
	if seen > 0 && accounted <= own+own/4 {
		return seen
	}
	return accounted
}

// peakInterval is how often a watched process is looked at.
const peakInterval = 2 * time.Millisecond

// watchPeak looks at a process while it runs. end must be called once, and returns
// the highest resident set that was seen, in bytes; 0 if the system does not show
// it.
func watchPeak(pid int) (end func() int64) {
	quit, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(peakInterval)
		defer tick.Stop()
		var highest int64
		for {
			select {
			case <-tick.C:
				highest = max(highest, harness.ResidentPeak(pid))
			case <-quit:
				peak <- highest
				return
			}
		}
	}()
	return func() int64 {
		close(quit)
		return <-peak
	}
}
