package walfiles

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/wal"
)

const name5 = "000000010000000000000005"

// segment5 is a segment of 1 MB with a page header for name5.
func segment5(text string) []byte {
	b := make([]byte, wal.MinSegmentSize)
	o := binary.NativeEndian
	o.PutUint16(b[0:], 0xD110)
	o.PutUint16(b[2:], 2)
	o.PutUint32(b[4:], 1)
	o.PutUint64(b[8:], 5*wal.MinSegmentSize)
	o.PutUint32(b[32:], wal.MinSegmentSize)
	o.PutUint32(b[36:], 8192)
	copy(b[40:], text)
	return b
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command and returns its exit status and what it said on both
// outputs.
func run(command func(*program.Program) int, args ...string) (status int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	status = command(&program.Program{
		Name: "pgbasin", Call: "pgbasin wal-x", Argv0: "pgbasin", Args: args, Version: "1",
		Stdout: &out, Console: program.NewConsole(&errOut),
	})
	return status, out.String(), errOut.String()
}

func TestPushAndFetchMoveAFileWithoutAWord(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	path := write(t, data, name5, segment5("x"))
	to := filepath.Join(data, "RECOVERYXLOG")
	for _, args := range [][]string{{"--to", dir, "-Zzstd:3", path}, {"--to=" + dir, path}} {
		if status, stdout, stderr := run(Push, args...); status != 0 || stdout+stderr != "" {
			t.Errorf("%q: status %d, %q %q", args, status, stdout, stderr)
		}
	}
	if status, stdout, stderr := run(Fetch, "--from", dir, name5, to); status != 0 || stdout+stderr != "" {
		t.Fatalf("status %d, %q %q", status, stdout, stderr)
	}
	got, err := os.ReadFile(to)
	if err != nil || !bytes.Equal(got, segment5("x")) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 || entries[0].Name() != name5+".zst" {
		t.Errorf("the archive has %v", entries)
	}
}

func TestFetchOfWhatIsNotThereIsQuietAndEndsRecovery(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{name5, "00000002.history"} {
		if status, stdout, stderr := run(Fetch, "--from", dir, name, filepath.Join(t.TempDir(), "x")); status != 1 || stdout+stderr != "" {
			t.Errorf("%s: status %d, %q %q", name, status, stdout, stderr)
		}
	}
}

func TestFetchThatCannotTellStopsTheServer(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, name5, segment5("")[:4096])
	write(t, dir, "000000010000000000000006.gz", []byte("\x1f\x8b nonsense"))
	to := filepath.Join(t.TempDir(), "x")
	none := filepath.Join(dir, "none")
	write(t, dir, "00000003.history", []byte("1\t0/1\tx\n"))
	for _, c := range []struct {
		status int
		words  string
		args   []string
	}{
		{200, "no NAME specified", []string{"--from", dir}},
		{200, "no PATH specified", []string{"--from", dir, name5}},
		{200, "too many command-line arguments (first is \"y\")", []string{"--from", dir, name5, "x", "y"}},
		{200, "no archive directory specified", []string{name5, to}},
		{200, "no archive directory specified", []string{"--from=", name5, to}},
		{200, "unrecognized option '--form'", []string{"--form", dir, name5, to}},
		{200, "is not the name of a WAL file", []string{"--from", dir, "../" + name5, to}},
		{200, "is not the name of a WAL file", []string{"--from", dir, "%f", "%p"}},
		{200, "without \"..\" in it", []string{"--from", dir, name5, "pg_wal/../../x"}},
		{200, "without \"..\" in it", []string{"--from", dir, name5, "pg_wal//x"}},
		{200, "without \"..\" in it", []string{"--from", dir, name5, "pg_wal/"}},
		{200, "without \"..\" in it", []string{"--from", dir, name5, ""}},
		{201, none + "\": No such file or directory", []string{"--from", none, name5, to}},
		{201, "Not a directory", []string{"--from", filepath.Join(dir, name5), name5, to}},
		{202, "it has 4096 bytes, should have 1048576", []string{"--from", dir, name5, to}},
		{202, "it cannot be decompressed", []string{"--from", dir, "000000010000000000000006", to}},
		{203, "No such file or directory", []string{"--from", dir, "00000003.history", filepath.Join(to, "y")}},
		{203, "not a regular file", []string{"--from", dir, "00000003.history", dir}},
	} {
		status, stdout, stderr := run(Fetch, c.args...)
		if status != c.status || !strings.Contains(stderr, c.words) || stdout != "" {
			t.Errorf("%q: status %d, %q; want %d and %q", c.args, status, stderr, c.status, c.words)
		}
	}
	if _, err := os.Lstat(to); err == nil {
		t.Error("there is something at the path")
	}
}

func TestPushThatFailsIsTriedAgainAndNamesFileAndCause(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	good := write(t, data, name5, segment5("a"))
	if status, _, stderr := run(Push, "--to", dir, good); status != 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	other := write(t, t.TempDir(), name5, segment5("b"))
	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"no PATH specified"}, []string{"--to", dir}},
		{[]string{"no archive directory specified"}, []string{good}},
		{[]string{"is not the path of a WAL file"}, []string{"--to", dir, "pg_wal/xlogtemp.1"}},
		{[]string{"without \"..\" in it"}, []string{"--to", dir, "../" + name5}},
		{[]string{"unrecognized compression algorithm: \"client-gzip\""}, []string{"--to", dir, "-Z", "client-gzip", good}},
		{[]string{"could not archive \"" + good + "\"", "none\": No such file or directory"}, []string{"--to", filepath.Join(dir, "none"), good}},
		{[]string{"could not archive \"" + other + "\"", filepath.Join(dir, name5), "they differ at byte 40"}, []string{"--to", dir, other}},
		{[]string{"could not archive", "No such file or directory"}, []string{"--to", dir, filepath.Join(data, "000000010000000000000006")}},
	} {
		status, stdout, stderr := run(Push, c.args...)
		if status != 1 || stdout != "" {
			t.Errorf("%q: status %d, %q", c.args, status, stdout)
		}
		for _, w := range c.words {
			if !strings.Contains(stderr, w) {
				t.Errorf("%q: %q does not say %q", c.args, stderr, w)
			}
		}
	}
	if got, _ := os.ReadFile(filepath.Join(dir, name5)); !bytes.Equal(got, segment5("a")) {
		t.Error("the archived file was changed")
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, command := range []func(*program.Program) int{Push, Fetch} {
		for _, arg := range []string{"--help", "-?"} {
			if status, stdout, stderr := run(command, arg); status != 0 || stderr != "" || !strings.Contains(stdout, "Usage:\n  pgbasin wal-x [OPTION]...") || strings.Contains(stdout, "{") {
				t.Errorf("%s: status %d, %q, %s", arg, status, stderr, stdout)
			}
		}
		if status, stdout, _ := run(command, "-V"); status != 0 || stdout != "pgbasin 1\n" {
			t.Errorf("-V: status %d, %q", status, stdout)
		}
	}
}

func TestShortFileIsNotThereYetInStandbyModeOnly(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, name5, segment5("")[:8192])
	for name, c := range map[string]struct {
		file, content string
		status        int
	}{
		"recovery":           {"recovery.signal", "", 202},
		"standby":            {"standby.signal", "", 1},
		"standby before 12":  {"recovery.conf", "restore_command = 'x'\nstandby_mode = 'on'\n", 1},
		"recovery before 12": {"recovery.conf", "#standby_mode = on\nstandby_mode = 'off' # on\n", 202},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			t.Chdir(data)
			write(t, data, c.file, []byte(c.content))
			status, _, stderr := run(Fetch, "--from", dir, name5, "RECOVERYXLOG")
			if status != c.status || !strings.Contains(stderr, "it has 8192 bytes") {
				t.Errorf("status %d, %q; want %d", status, stderr, c.status)
			}
		})
	}
}

func TestStandbyModeIsReadAsTheServerReadsIt(t *testing.T) {
	for conf, want := range map[string]bool{
		"": false, "standby_mode=on": true, "STANDBY_MODE = 'TRUE'": true, "standby_mode t": true, "standby_mode = '1'\r\n": true,
		"standby_mode = on\nstandby_mode = off": false, "xstandby_mode = on": false, "standby_mode =": false, "standby_mode = 'no'": false,
	} {
		if got := standbyMode(conf); got != want {
			t.Errorf("%q: %v", conf, got)
		}
	}
}
