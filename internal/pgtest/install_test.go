package pgtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func startVictim(t *testing.T) (victim *exec.Cmd, pid int, dir string) {
	t.Helper()
	victim = exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), "PGTEST_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	victim.Stderr = os.Stderr
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = victim.Process.Kill() })
	if _, err := fmt.Fscan(out, &pid, &dir); err != nil {
		t.Fatal(err)
	}
	return victim, pid, dir
}

// recorder is a test that records how it is ended.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	r.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

func TestStartFailsTheTestWhenThereIsNoServer(t *testing.T) {
	in, err := Installation(15)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ dir, want string }{
		{"/nonexistent", "PGBASIN_PG_14=/nonexistent is not usable"},
		{in.BinDir, "not 14"},
	} {
		t.Setenv("PGBASIN_PG_14", test.dir)
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Start(r, 14)
		}()
		<-done
		if !strings.Contains(r.fatal, test.want) {
			t.Errorf("the test ended with %q, want %q", r.fatal, test.want)
		}
	}
}

func TestInstallationComesFromTheEnvironmentFirst(t *testing.T) {
	in, err := Installation(16)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(in.BinDir, dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGBASIN_PG_16", dir)
	got, err := Installation(16)
	if err != nil {
		t.Fatal(err)
	}
	if got.BinDir != dir || got.Source != "PGBASIN_PG_16" || got.Version != in.Version {
		t.Errorf("got %+v", got)
	}
	if _, err := got.Path("no_such_program"); err == nil {
		t.Error("a program that is not there was found")
	}
}

func TestNewestVersionOfAMajor(t *testing.T) {
	for _, test := range []struct {
		major    int
		versions string
		want     string
	}{
		{18, "18.4.0-beta.9 18.4.0-beta.17 18.4.0-beta.10", "18.4.0-beta.17"},
		{11, "11.9.0-beta.20 11.22.1-beta.11 11.22.0-beta.12 10.30.0-beta.1", "11.22.1-beta.11"},
		{14, "14.3.0-beta.6 14.3.0-alpha.21", "14.3.0-beta.6"},
		{17, "17.1.0 17.1.0-beta.3", "17.1.0"},
		{16, "1.6.0-beta.1 160.0.0 unpack-123 16 16.x.0 16.1.0-rc.1", ""},
		{16, "", ""},
	} {
		if got := newest(strings.Fields(test.versions), test.major); got != test.want {
			t.Errorf("newest %d of %s is %q, want %q", test.major, test.versions, got, test.want)
		}
	}
}

func TestUnpackMakesModesAndLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	archive := pack(t, map[string]string{
		"package/package.json":                   "{}",
		"package/native/bin/postgres":            "program",
		"package/native/lib/libpq.so.5.18":       "library",
		"package/native/lib/libpq.a":             "for compiling",
		"package/native/share/postgresql/x.conf": "text",
		"package/native/pg-symlinks.json":        `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so"},{"source":"native/lib/libpq.so.5.18","target":"native/lib/deep/libpq.so.5"}]`,
	})
	if err := unpack(archive, dir); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"bin/postgres": 0o755, "lib/libpq.so": 0o755, "lib/deep/libpq.so.5": 0o755, "share/postgresql/x.conf": 0o644, "bin": 0o755} {
		info, err := os.Stat(filepath.Join(dir, "native", name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), mode)
		}
	}
	for _, name := range []string{"package.json", "native/lib/libpq.a"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

func TestUnpackStaysInItsDirectory(t *testing.T) {
	const list = "package/native/pg-symlinks.json"
	for name, members := range map[string]map[string]string{
		"member":      {list: "[]", "package/native/../../../escaped": "x"},
		"link":        {list: `[{"source":"native/a","target":"../escaped"}]`},
		"link target": {list: `[{"source":"../../etc","target":"native/escaped"}]`},
		"cut off":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			archive := pack(t, members)
			if members == nil {
				if err := os.Truncate(archive, 12); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			if err := unpack(archive, filepath.Join(dir, "tree")); err == nil {
				t.Error("no error")
			}
			if _, err := os.Lstat(filepath.Join(dir, "escaped")); err == nil {
				t.Error("a file was made outside")
			}
		})
	}
}

// pack writes an npm archive.
func pack(t *testing.T, members map[string]string) string {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for name, content := range members {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
