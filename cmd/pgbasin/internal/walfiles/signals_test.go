//go:build unix

package walfiles

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// The test binary stands in for a program that ends in a way of its own.
func TestMain(m *testing.M) {
	switch os.Getenv("WALFILES_TEST") {
	case "crash":
		Fetch(&program.Program{Args: []string{"--help"}}) // nowhere to write to
		os.Exit(0)
	case "stuck":
		ctx, _ := watch(context.Background())
		os.Stdout.WriteString("ready\n")
		<-ctx.Done()
		os.Stdout.WriteString("ended\n")
		select {}
	}
	os.Exit(m.Run())
}

func standIn(t *testing.T, mode string) *exec.Cmd {
	t.Helper()
	t.Cleanup(pgtest.DefaultSignals())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WALFILES_TEST="+mode)
	cmd.Dir = t.TempDir()
	return cmd
}

func TestSignalsBecomeTheStatusThatShellsMakeOfThem(t *testing.T) {
	t.Cleanup(pgtest.DefaultSignals()) // else those that are ignored here are not caught
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP} {
		ctx, stop := watch(context.Background())
		if status, ok := signalStatus(ctx); ok {
			t.Errorf("%v: status %d before there was a signal", s, status)
		}
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		if status, ok := signalStatus(ctx); !ok || status != 128+int(s) {
			t.Errorf("%v: status %d, %v", s, status, ok)
		}
		stop()
	}
}

func TestSecondSignalEndsEvenAProgramThatIsStuck(t *testing.T) {
	cmd := standIn(t, "stuck")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		if !lines.Scan() {
			t.Fatal("it ended too early")
		}
		cmd.Process.Signal(s)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGQUIT) {
		t.Errorf("exit status %d", code)
	}
}

func TestCrashOfFetchIsASignalToTheServer(t *testing.T) {
	cmd := standIn(t, "crash")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() >= 0 && cmd.ProcessState.ExitCode() <= 125 {
		t.Errorf("%v\n%s", err, out)
	}
}
