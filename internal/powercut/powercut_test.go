//go:build linux && amd64

package powercut

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/filetrace"
)

// record runs one of the programs; failSync is which of its syncs fails, 0 for
// none.
func record(t *testing.T, name string, failSync int) *Log {
	t.Helper()
	dir := realDir(t)
	r, err := NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	syncs := 0
	p := filetrace.Program{
		Path: os.Args[0], Args: []string{dir}, Env: []string{programVariable + "=" + name}, Output: os.Stderr,
		Enter: func(c *filetrace.Call) error {
			if c.Name == "fsync" {
				if syncs++; syncs == failSync {
					c.Fail = syscall.EIO
				}
			}
			return r.Enter(c)
		},
		Leave: r.Leave,
	}
	if status, err := p.Run(t.Context()); err != nil || status.Exit != 0 {
		t.Fatalf("%q ended with %+v, %v", name, status, err)
	}
	return r.Log
}

// promise is what the programs owe: a final name has all of its content, and
// once the program has ended with 0 it is there.
func promise(l *Log) func(*State) error {
	return func(s *State) error {
		path := "final"
		if l.names[0]["sub"] != 0 || s.Exists("sub") {
			path = "sub/final"
		}
		got, err := s.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			if s.At > 0 && l.Events[s.At-1].Kind == Exit {
				return errors.New("it is lost")
			}
			return nil
		}
		if !strings.HasPrefix(string(got), content) || len(got) > len(content) && string(got) != content+" at all" {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	}
}

func TestMistakesAreFound(t *testing.T) {
	for _, c := range []struct {
		program  string
		failSync int
		says     string // "" if nothing is wrong
	}{
		{"careful", 0, ""},
		{"renames before it syncs", 0, `it has ""`},
		{"never syncs the file", 0, `it has ""`},
		{"forgets the directory", 0, "it is lost"},
		{"forgets the directory above", 0, "it is lost"},
		{"writes after the sync", 0, "it has "},
		{"tries a failed sync again", 1, `it has ""`},
		{"tries a failed sync again", 0, ""},
		{"writes a failed file again", 1, ""},
	} {
		t.Run(fmt.Sprintf("%s, failure %d", c.program, c.failSync), func(t *testing.T) {
			t.Parallel()
			l := record(t, c.program, c.failSync)
			states, err := l.Replay(Plan{Random: 20, Seed: 1}, promise(l))
			switch {
			case c.says == "" && err != nil:
				t.Errorf("%d states, then %v", states, err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%d states and %v, want an error with %q", states, err, c.says)
			}
		})
	}
}

// With everything on disk the last state is what is really there.
func TestLastStateIsTheDirectory(t *testing.T) {
	for name := range programs {
		l := record(t, name, 0)
		last := len(l.Events)
		_, err := l.Replay(Plan{At: func(n int) bool { return n == last }}, func(s *State) error {
			if s.Choice != "with everything" {
				return nil
			}
			dir := t.TempDir()
			if err := s.Store(dir); err != nil {
				return err
			}
			got, want := tree(t, dir), tree(t, l.Root)
			if got != want {
				return fmt.Errorf("it has %s, the directory %s", got, want)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s: %q; ", strings.TrimPrefix(path, root), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
