package pgtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // of Wait; valid when done is closed
}

// startProcess starts a program of an installation as the server's user, in the directory dir, logging to log.
func startProcess(in *Install, program string, args []string, dir string, o owner, log *os.File) (*process, error) {
	cmd := exec.Command(filepath.Join(in.BinDir, program), args...)
	cmd.Dir = dir
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr(o, syscall.SIGQUIT)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that started the child ends.
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

// environment is the environment of servers and initdb: without what libpq and PostgreSQL would read from it.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || name == "LANG" || name == "LANGUAGE" || name == "TZ" {
			continue
		}
		env = append(env, e)
	}
	return env
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// state describes how the process ended.
func (p *process) state() string {
	return p.cmd.ProcessState.String()
}

// step is a signal and how long its effect is waited for.
type step struct {
	signal syscall.Signal
	wait   time.Duration
}

var (
	shutdownSteps  = []step{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}}
	immediateSteps = []step{{syscall.SIGQUIT, 10 * time.Second}}
)

// stop sends the signals one after the other until the process has ended, and SIGKILL at last.
func (p *process) stop(steps []step) error {
	for _, s := range steps {
		if p.ended() {
			return nil
		}
		if err := p.cmd.Process.Signal(s.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		timer := time.NewTimer(s.wait)
		select {
		case <-p.done:
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	return p.kill()
}

// kill sends SIGKILL to the process and its children, and waits until all have ended.
func (p *process) kill() error {
	if p.ended() {
		return nil
	}
	family := children(p.pid)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	for _, pid := range family {
		if child, err := os.FindProcess(pid); err == nil {
			_ = child.Kill() // most have noticed the postmaster's death and are gone
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range family {
		for !ended(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("server process %d does not end", pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// lockFileLines are the lines of postmaster.pid, which a running server has and a killed one leaves behind.
func lockFileLines(dataDir string) []string {
	data, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(data), "\n")
}

// releaseSharedMemory removes the System V shared memory segment that a killed server has left behind; the seventh line of
// postmaster.pid has its key and its id. Only the server with the process id is meant: a data directory that somebody lent
// may be in use by another one.
func releaseSharedMemory(dataDir string, pid int) {
	lines := lockFileLines(dataDir)
	if len(lines) < 7 || lines[0] != strconv.Itoa(pid) {
		return
	}
	if fields := strings.Fields(lines[6]); len(fields) == 2 {
		if id, err := strconv.Atoi(fields[1]); err == nil {
			removeSharedMemory(id)
		}
	}
}

// freePort returns a TCP port that was free. It is below the range that systems take ports of outgoing connections from.
func freePort() (int, error) {
	for range 200 {
		port := 15000 + rand.IntN(17000)
		if listens(port) {
			return port, nil
		}
	}
	return 0, errors.New("no free TCP port between 15000 and 32000")
}

func listens(port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// initdb makes a data directory. Its output is in the error.
func initdb(in *Install, o owner, dataDir string, args []string) error {
	cmd := exec.Command(filepath.Join(in.BinDir, "initdb"), append([]string{"-D", dataDir}, args...)...)
	cmd.Dir = filepath.Dir(dataDir)
	cmd.Env = environment()
	cmd.SysProcAttr = credential(o)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb of PostgreSQL %d: %w\n%s", in.Major, err, out)
	}
	return nil
}

// initdbArgs are the arguments that a configuration asks for.
func (c *Config) initdbArgs() ([]string, error) {
	args := []string{"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"}
	if c.WALSegSize != 0 {
		if c.Major < 11 {
			return nil, fmt.Errorf("the WAL segment size of PostgreSQL %d is fixed when it is compiled", c.Major)
		}
		args = append(args, "--wal-segsize="+strconv.Itoa(c.WALSegSize))
	}
	if c.GroupAccess {
		if c.Major < 11 {
			return nil, fmt.Errorf("PostgreSQL %d has no group access to the data directory", c.Major)
		}
		args = append(args, "--allow-group-access")
	}
	if c.Checksums != nil {
		switch {
		case *c.Checksums:
			args = append(args, "--data-checksums")
		case c.Major >= 18:
			args = append(args, "--no-data-checksums")
		}
	}
	return args, nil
}
