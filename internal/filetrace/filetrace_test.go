//go:build linux && amd64

package filetrace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const programVariable = "FILETRACE_TEST_PROGRAM"

// TestMain is also the program that is traced: it writes a file, from many
// goroutines' threads, syncs it and says how that went.
func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "" {
		os.Exit(m.Run())
	}
	f, err := os.Create(os.Args[1])
	if err == nil {
		errs := make(chan error)
		for i := range 8 {
			go func() {
				_, err := f.WriteAt(slices.Repeat([]byte{byte('a' + i)}, 10), int64(10*i))
				errs <- err
			}()
		}
		for range 8 {
			err = errors.Join(err, <-errs)
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	fmt.Println("result:", err)
	if err != nil {
		os.Exit(3)
	}
	os.Exit(0)
}

// traced runs the program and returns what it said and left.
func traced(t *testing.T, enter, leave func(c *Call) error) (status Status, said, content string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	out, err := os.Create(path + ".out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := Program{
		Path: os.Args[0], Args: []string{path}, Env: []string{programVariable + "=1"}, Output: out,
		Calls: append(slices.Clone(Changes), "close"), Enter: enter, Leave: leave,
	}
	status, err = p.Run(t.Context())
	text, _ := os.ReadFile(path + ".out")
	b, _ := os.ReadFile(path)
	return status, string(text), string(b), err
}

const whole = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhh"

func TestCallsAreShownWithWhatTheyWrite(t *testing.T) {
	seen := make([]byte, len(whole))
	var names []string
	status, said, content, err := traced(t, func(c *Call) error {
		if filepath.Base(c.FDName(c.Int(0))) != "file" {
			return nil
		}
		names = append(names, c.Name)
		if c.Name == "pwrite64" {
			b, err := c.Bytes(c.Args[1], c.Args[2])
			copy(seen[c.Args[3]:], b)
			return err
		}
		return nil
	}, nil)
	if err != nil || status.Exit != 0 || content != whole || !strings.Contains(said, "result: <nil>") {
		t.Fatalf("%+v, %v; it said %q and wrote %q", status, err, said, content)
	}
	if string(seen) != whole || strings.Join(names[len(names)-2:], " ") != "fsync close" || len(names) != 10 {
		t.Errorf("%v wrote %q", names, seen)
	}
}

func TestCallsFailAsAsked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *Call)
		status int
		says   string
		whole  bool
	}{
		{"fsync", func(c *Call) { c.Fail = syscall.EIO }, 3, "input/output error", true},
		{"close", func(c *Call) { c.FailAfter = syscall.EDQUOT }, 3, "disk quota exceeded", true},
		{"pwrite64", func(c *Call) { c.Fail = syscall.ENOSPC }, 3, "no space left on device", false},
		{"pwrite64", func(c *Call) { c.Short = 3 }, 0, "result: <nil>", true},
	} {
		n := 0
		status, said, content, err := traced(t, func(call *Call) error {
			if call.Name == c.name && filepath.Base(call.FDName(call.Int(0))) == "file" {
				n++
				c.change(call)
			}
			return nil
		}, nil)
		if err != nil || status.Exit != c.status || !strings.Contains(said, c.says) || (content == whole) != c.whole || n == 0 {
			t.Errorf("%s: %+v, %v, %d calls; it said %q and wrote %q", c.name, status, err, n, said, content)
		}
	}
}

func TestProgramIsKilledWhereAsked(t *testing.T) {
	for _, after := range []bool{false, true} {
		kill := func(c *Call) error {
			c.Kill = c.Name == "openat" && c.Args[2]&syscall.O_CREAT != 0
			return nil
		}
		var status Status
		var err error
		var path string
		note := func(c *Call) error {
			if c.Name == "openat" && c.Args[2]&syscall.O_CREAT != 0 {
				path, _ = c.String(1)
			}
			return nil
		}
		if after {
			status, _, _, err = traced(t, note, kill)
		} else {
			status, _, _, err = traced(t, func(c *Call) error { return errors.Join(note(c), kill(c)) }, nil)
		}
		_, there := os.Stat(path)
		if err != nil || status.Signal != syscall.SIGKILL || (there == nil) != after || path == "" {
			t.Errorf("killed after the call %v: %+v, %v; %q is there: %v", after, status, err, path, there)
		}
	}
}

func TestErrorsEndTheProgram(t *testing.T) {
	stop := errors.New("stop")
	status, _, _, err := traced(t, func(c *Call) error {
		if c.Name == "fsync" {
			return stop
		}
		return nil
	}, nil)
	if !errors.Is(err, stop) || status.Signal != syscall.SIGKILL {
		t.Errorf("%+v, %v", status, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	p := Program{Path: "/bin/sleep", Args: []string{"1000"}, Started: func(int) { cancel(stop) }}
	if status, err := p.Run(ctx); err != stop || status.Signal != syscall.SIGKILL {
		t.Errorf("%+v, %v", status, err)
	}
}
