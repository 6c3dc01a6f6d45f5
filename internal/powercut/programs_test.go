//go:build linux && amd64

package powercut

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const content = "what must not get lost"

// programs store content as "final" in a directory, as this binary under
// another name, and exit with 0 when they believe that it is durable.
var programs = map[string]func(dir string) error{
	"careful": func(dir string) error {
		return steps(
			func() error { return write(dir, true) },
			func() error { return os.Rename(dir+"/tmp", dir+"/final") },
			func() error { return sync(dir) })
	},
	"renames before it syncs": func(dir string) error {
		return steps(
			func() error { return write(dir, false) },
			func() error { return os.Rename(dir+"/tmp", dir+"/final") },
			func() error { return sync(dir + "/final") },
			func() error { return sync(dir) })
	},
	"never syncs the file": func(dir string) error {
		return steps(
			func() error { return write(dir, false) },
			func() error { return os.Rename(dir+"/tmp", dir+"/final") },
			func() error { return sync(dir) })
	},
	"forgets the directory": func(dir string) error {
		return steps(
			func() error { return write(dir, true) },
			func() error { return os.Rename(dir+"/tmp", dir+"/final") })
	},
	"forgets the directory above": func(dir string) error {
		return steps(
			func() error { return os.Mkdir(dir+"/sub", 0o700) },
			func() error { return write(dir+"/sub", true) },
			func() error { return os.Rename(dir+"/sub/tmp", dir+"/sub/final") },
			func() error { return sync(dir + "/sub") })
	},
	"writes after the sync": func(dir string) error {
		return steps(
			func() error { return write(dir, true) },
			func() error { return appendTo(dir+"/tmp", " at all") },
			func() error { return os.Rename(dir+"/tmp", dir+"/final") },
			func() error { return sync(dir) })
	},
	"tries a failed sync again": func(dir string) error {
		err := write(dir, false)
		if err == nil && sync(dir+"/tmp") != nil {
			err = sync(dir + "/tmp")
		}
		return steps(
			func() error { return err },
			func() error { return os.Rename(dir+"/tmp", dir+"/final") },
			func() error { return sync(dir) })
	},
	"writes a failed file again": func(dir string) error {
		if write(dir, true) != nil {
			if err := steps(func() error { return os.Remove(dir + "/tmp") }, func() error { return write(dir, true) }); err != nil {
				return err
			}
		}
		return steps(
			func() error { return os.Rename(dir+"/tmp", dir+"/final") },
			func() error { return sync(dir) })
	},
}

func steps(list ...func() error) error {
	for _, f := range list {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func write(dir string, synced bool) error {
	f, err := os.OpenFile(dir+"/tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, part := range []string{content[:10], content[10:]} {
		if _, err := f.WriteString(part); err != nil {
			return err
		}
	}
	if synced {
		return f.Sync()
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

func sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

const programVariable = "POWERCUT_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		if err := programs[name](os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// realDir is an empty directory without links in its path.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
