//go:build unix

package interrupt

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// The test binary stands in for a program that is interrupted.
func TestMain(m *testing.M) {
	switch os.Getenv("INTERRUPT_TEST") {
	case "once":
		ctx, stop := Watch(context.Background(), nil)
		os.Stdout.WriteString("ready\n")
		<-ctx.Done()
		stop()
		os.Stdout.WriteString(context.Cause(ctx).Error() + "\n")
		os.Exit(3)
	case "twice":
		ctx, _ := Watch(context.Background(), func() { os.Stdout.WriteString("left behind: x\n") })
		os.Stdout.WriteString("ready\n")
		<-ctx.Done()
		os.Stdout.WriteString("cleaning\n")
		select {}
	case "ignored":
		signal.Ignore(syscall.SIGHUP)
		ctx, stop := Watch(context.Background(), nil)
		syscall.Kill(os.Getpid(), syscall.SIGHUP)
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		<-ctx.Done()
		stop()
		os.Stdout.WriteString(context.Cause(ctx).Error() + "\n")
		os.Exit(0)
	case "pipe":
		_, stop := Watch(context.Background(), nil)
		defer stop()
		os.Stdin.Read(make([]byte, 1)) // until the pipe has no reader
		if _, err := os.Stdout.WriteString("x"); errors.Is(err, syscall.EPIPE) {
			os.Exit(4)
		}
		os.Exit(5)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, mode string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	t.Cleanup(pgtest.DefaultSignals())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "INTERRUPT_TEST="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, out
}

func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	var line strings.Builder
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("after %q: %v", line.String(), err)
		}
		if b[0] == '\n' {
			return line.String()
		}
		line.WriteByte(b[0])
	}
}

func TestFirstSignalEndsTheContextWithItsName(t *testing.T) {
	for _, c := range []struct {
		signal os.Signal
		want   string
	}{
		{os.Interrupt, "canceled by user"},
		{syscall.SIGTERM, "terminated by signal SIGTERM"},
		{syscall.SIGHUP, "terminated by signal: hangup"},
	} {
		cmd, out := start(t, "once")
		readLine(t, out)
		cmd.Process.Signal(c.signal)
		if got := readLine(t, out); got != c.want {
			t.Errorf("%v: %q, want %q", c.signal, got, c.want)
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 3 {
			t.Errorf("%v: exit status %d", c.signal, code)
		}
	}
}

func TestSecondSignalEndsTheProcessAfterItsLastWords(t *testing.T) {
	cmd, out := start(t, "twice")
	readLine(t, out)
	cmd.Process.Signal(os.Interrupt)
	readLine(t, out)
	cmd.Process.Signal(os.Interrupt)
	if got := readLine(t, out); got != "left behind: x" {
		t.Errorf("last words %q", got)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit status %d", code)
	}
}

func TestIgnoredSignalStaysIgnored(t *testing.T) {
	_, out := start(t, "ignored")
	if got := readLine(t, out); got != "terminated by signal SIGTERM" {
		t.Errorf("ended by %q", got)
	}
}

func TestBrokenPipeIsAnErrorAndNotTheEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "INTERRUPT_TEST=pipe")
	cmd.Stdout = w
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Close()
	in.Close()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("exit status %d (%v), want the write to fail with EPIPE", code, cmd.ProcessState)
	}
}
