//go:build unix

package prompt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// The test binary stands in for a program with a terminal of its own.
func TestMain(m *testing.M) {
	switch os.Getenv("PROMPT_TEST") {
	case "ask":
		got, err := Prompt{In: strings.NewReader("not from here\n"), Out: io.Discard}.Password(context.Background())
		os.Stdout.WriteString("<" + got + ">\n")
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
		}
		os.Exit(0)
	case "cancel":
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() {
			os.Stdin.Read(make([]byte, 1))
			cancel(errors.New("stop"))
		}()
		_, err := Prompt{In: strings.NewReader(""), Out: io.Discard}.Password(ctx)
		os.Stdout.WriteString("<" + err.Error() + ">\n")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run starts the stand-in with a new terminal as its controlling one.
func run(t *testing.T, mode string) (ptmx *os.File, cmd *exec.Cmd, stdin io.WriteCloser, stdout *bytes.Buffer) {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PROMPT_TEST="+mode)
	stdout = new(bytes.Buffer)
	cmd.Stdout = stdout
	cmd.ExtraFiles = []*os.File{tty}
	if stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ptmx.Close() })
	return ptmx, cmd, stdin, stdout
}

// waitFor reads from the terminal until text has appeared.
func waitFor(t *testing.T, ptmx *os.File, text string) string {
	t.Helper()
	var seen strings.Builder
	for b := make([]byte, 64); !strings.Contains(seen.String(), text); {
		n, err := ptmx.Read(b)
		seen.Write(b[:n])
		if err != nil {
			t.Fatalf("terminal shows %q, want %q: %v", seen.String(), text, err)
		}
	}
	return seen.String()
}

func echoes(t *testing.T, ptmx *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(ptmx.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestPasswordIsReadFromTheTerminalAndNotShown(t *testing.T) {
	ptmx, cmd, _, stdout := run(t, "ask")
	waitFor(t, ptmx, "Password: ")
	ptmx.WriteString("secret\n")
	shown := waitFor(t, ptmx, "\n")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "<secret>\n" {
		t.Errorf("got %q", stdout.String())
	}
	if strings.Contains(shown, "secret") {
		t.Errorf("terminal shows %q", shown)
	}
}

func TestCanceledPromptLeavesTheTerminalShowingWhatIsTyped(t *testing.T) {
	ptmx, cmd, stdin, stdout := run(t, "cancel")
	if !echoes(t, ptmx) {
		t.Fatal("the terminal does not echo to begin with")
	}
	waitFor(t, ptmx, "Password: ")
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "<stop>\n" {
		t.Errorf("got %q", stdout.String())
	}
	if !echoes(t, ptmx) {
		t.Error("the terminal does not echo any more")
	}
}
