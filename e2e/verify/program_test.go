//go:build linux

package verify

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user that programs run as which must not be able to read
// everything.
const nobody = 65534

// patience is how long a program may take; none takes a tenth of it.
const patience = 60 * time.Second

// outcome is what a script sees of a program.
type outcome struct {
	status         int
	stdout, stderr string
}

// run runs a program to its end, as root's own or as nobody.
func run(t *testing.T, uid int, path string, args ...string) outcome {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Dir = "/"
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGQUIT) })
	err := cmd.Wait()
	if !killed.Stop() {
		t.Fatalf("%s %s did not end within %v:\n%s", path, strings.Join(args, " "), patience, stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// said are the lines of standard error that both programs have, sorted: the order
// is that of directories and hash tables. pg_waldump speaks for itself, and so do
// our details. Words that 18 has changed since 15 are those of 18.
func (o outcome) said() []string {
	var lines []string
	for line := range strings.Lines(o.stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "pg_waldump: ") || strings.HasPrefix(line, "pg_verifybackup: detail: ") {
			continue
		}
		line = strings.Replace(line, "is not a file or directory", "is not a regular file or directory", 1)
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}
