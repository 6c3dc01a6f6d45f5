//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// child is a run of the program in a process of its own.
type child struct {
	t   *testing.T
	cmd *exec.Cmd

	mu     sync.Mutex
	output bytes.Buffer
	more   chan struct{} // closed and replaced when there is more output
	ended  chan struct{} // closed after the last output
}

// startChild runs args with a terminal of its own, or with pipes.
func startChild(t *testing.T, terminal bool, env map[string]string, args ...string) *child {
	t.Helper()
	t.Cleanup(pgtest.DefaultSignals())
	c := &child{t: t, cmd: exec.Command(args[0], args[1:]...), more: make(chan struct{}), ended: make(chan struct{})}
	for k, v := range env {
		c.cmd.Env = append(c.cmd.Env, k+"="+v)
	}
	var out io.ReadCloser
	if terminal {
		ptmx, err := pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 24, Cols: 70})
		if err != nil {
			t.Fatal(err)
		}
		out = ptmx
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c.cmd.Stdout, c.cmd.Stderr = w, w
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		out = r
	}
	go func() {
		defer close(c.ended)
		for b := make([]byte, 4096); ; {
			n, err := out.Read(b)
			c.mu.Lock()
			c.output.Write(b[:n])
			close(c.more)
			c.more = make(chan struct{})
			c.mu.Unlock()
			if err != nil { // a terminal ends with an error
				return
			}
		}
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		out.Close()
		<-c.ended
	})
	return c
}

// await waits until the output matches and returns it.
func (c *child) await(pattern string) string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(time.Minute)
	for {
		c.mu.Lock()
		text, more := c.output.String(), c.more
		c.mu.Unlock()
		if re.MatchString(text) {
			return text
		}
		select {
		case <-more:
		case <-c.ended:
			c.t.Fatalf("ended before %s:\n%q", pattern, text)
		case <-timeout:
			c.t.Fatalf("no %s:\n%q", pattern, text)
		}
	}
}

// status waits for the end and returns the exit status and all output.
func (c *child) status() (int, string) {
	c.t.Helper()
	c.await("") // a first byte at least
	<-c.ended
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode(), c.output.String()
}

// slowServer sends a part of a backup and then nothing for a while.
func slowServer(t *testing.T) (*pgfake.Server, *pgfake.Gate) {
	gate := pgfake.NewGate()
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Faults: func(n int) []pgfake.Fault {
		if n == 0 {
			return []pgfake.Fault{{After: 60000, Gate: gate}}
		}
		return nil
	}})
	return s, gate
}

func TestSignalsEndABackupAndRemoveIt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		s, gate := slowServer(t)
		dir := filepath.Join(t.TempDir(), "b")
		c := startChild(t, false, at(t, s), "pg_basebackup", "-D", dir)
		<-gate.Reached()
		c.cmd.Process.Signal(sig)
		status, output := c.status()
		want := map[syscall.Signal]string{
			syscall.SIGINT: "canceled by user", syscall.SIGTERM: "terminated by signal SIGTERM", syscall.SIGHUP: "terminated by signal: hangup",
		}[sig]
		want = "pg_basebackup: error: " + want + "\npg_basebackup: removing data directory \"" + dir + "\"\n"
		if status != 1 || output != want {
			t.Errorf("%v: exit status %d, %q; want %q", sig, status, output, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%v: %s is left", sig, dir)
		}
	}
}

func TestSecondSignalSaysWhatIsLeft(t *testing.T) {
	gate := pgfake.NewGate()
	hang := pgfake.NewGate()
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Faults: func(n int) []pgfake.Fault {
		switch n {
		case 0:
			return []pgfake.Fault{{After: 60000, Gate: gate}}
		case 2: // to remove the slot
			return []pgfake.Fault{{After: 1, Gate: hang}}
		}
		return nil
	}})
	dir := filepath.Join(t.TempDir(), "b")
	c := startChild(t, false, at(t, s), "pg_basebackup", "-D", dir, "-C", "-S", "mine")
	<-gate.Reached()
	c.cmd.Process.Signal(os.Interrupt)
	<-hang.Reached()
	c.cmd.Process.Signal(os.Interrupt)
	status, output := c.status()
	want := "pg_basebackup: error: ended without cleaning up; an incomplete backup may be left in \"" + dir +
		"\" and in directories of tablespaces; replication slot \"mine\" may be left on the server\n"
	if status != 1 || output != want {
		t.Errorf("exit status %d, %q; want %q", status, output, want)
	}
}

func TestTerminalShowsOneLineOfProgress(t *testing.T) {
	gate := pgfake.NewGate()
	files := []pgfake.File{}
	for i := range 40 {
		files = append(files, pgfake.File{Path: fmt.Sprintf("base/1/%d", 16400+i), Data: bytes.Repeat([]byte{byte(i)}, 1<<16)})
	}
	s := pgfake.Serve(t, &pgfake.Cluster{
		Version: "14.2", // where what has arrived is the progress
		Edit: func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
			b.Archives[0].Tar = append(b.Archives[0].Tar, pgfake.Tar(files...)...)
		},
		Tamper: pgfake.Before(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartData, N: 40},
			pgfake.Notice("WARNING", "01000", "a page is bad"), pgfake.Stall(gate)),
	})
	dir := filepath.Join(t.TempDir(), "b")
	c := startChild(t, true, at(t, s), "pg_basebackup", "-D", dir, "-P", "--no-manifest")
	c.await(`WARNING:  a page is bad`)
	<-gate.Reached()
	shown := c.await(` *\d+%  \d.*/\d.*B  [\d.]+ \w+/s  ETA \d+:\d\d  .*base/1/164\d\d`)
	if strings.Contains(shown, "tablespace") {
		t.Errorf("lines of a pipe on a terminal: %q", shown)
	}
	gate.Release()
	status, shown := c.status()
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	lines := screen(shown)
	if last := lines[len(lines)-1]; !regexp.MustCompile(`^100%  \d.*B in 0:\d\d`).MatchString(last) {
		t.Errorf("the screen ends with %q: %q", last, shown)
	}
	if !slices.Contains(lines, "WARNING:  a page is bad") || len(lines) != 2 {
		t.Errorf("the screen shows %q: %q", lines, shown)
	}
}

// screen is what a terminal with 70 columns shows in the end, without the empty
// line below.
func screen(output string) []string {
	var lines []string
	line, at := "", 0
	for i := range len(output) {
		switch c := output[i]; c {
		case '\r':
			at = 0
		case '\b':
			at--
		case '\n':
			lines, line, at = append(lines, strings.TrimRight(line, " ")), "", 0
		default:
			if at == 70 {
				lines, line, at = append(lines, strings.TrimRight(line, " ")), "", 0
			}
			line = line[:min(at, len(line))] + string(c) + line[min(at+1, len(line)):]
			at++
		}
	}
	return lines
}

func TestInterruptKeyLeavesTheTerminalClean(t *testing.T) {
	s, gate := slowServer(t)
	dir := filepath.Join(t.TempDir(), "b")
	c := startChild(t, true, at(t, s), "pgbasin", "backup", "-P", "-D", dir)
	<-gate.Reached()
	c.await(`\d+%`)
	c.cmd.Process.Signal(os.Interrupt)
	status, shown := c.status()
	lines := screen(shown)
	if status != 1 || lines[0] != "pgbasin: error: canceled by user" {
		t.Errorf("exit status %d, screen %q: %q", status, lines, shown)
	}
}
