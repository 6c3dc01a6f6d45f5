//go:build linux

package lab

import (
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// receiver is a run of "pgbasin receive".
type receiver struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	said strings.Builder
}

func (r *receiver) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(p)
}

func (r *receiver) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// receive starts a receiver and waits until it streams.
func (l *lab) receive(t *testing.T, dir string, args ...string) *receiver {
	t.Helper()
	args = append([]string{"receive", "-v", "--synchronous", "-h", l.SocketDir(), "-p", l.port(), "-U", "postgres", "-D", dir}, args...)
	r := &receiver{cmd: exec.Command(pgbasin, args...)}
	r.cmd.Stderr = r
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	eventually(t, "the receiver streams", func() bool { return strings.Contains(r.text(), "starting log streaming") })
	return r
}

// kill ends the receiver as a crash does.
func (r *receiver) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}
