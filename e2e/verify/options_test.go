//go:build linux

package verify

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// commandLines are those about which releases 15 and 18 agree.
var commandLines = [][]string{
	{},
	{""},
	{"-"},
	{"--"},
	{"x", "y"},
	{"-q", "x", "y", "z"},
	{"--", "-q"},
	{"-x"},
	{"--foo"},
	{"--foo=bar"},
	{"-j", "2", "x"},
	{"--jobs=2", "x"},
	{"--json", "x"},
	{"--checksums", "x"},
	{"-i"},
	{"--ignore"},
	{"-m"},
	{"--manifest-path"},
	{"--manifest=/nonexistent", "x"},
	{"-w"},
	{"--wal"},
	{"-wx"},
	{"--quiet=1", "x"},
	{"--exit", "x"},
	{"--e", "x"},
	{"--no", "x"},
	{"-eqsn", "x"},
	{"-eqsnx", "x"},
	{"-n=", "x"},
	{"x", "-n"},
	{"x", "--skip"},
	{"x", "-?"},
	{"x", "-V"},
	{"x", "--help"},
	{"x", "--version"},
	{"-q", "--help"},
	{"--hel"},
	{"--help=1"},
	{"-m", "/nonexistent/manifest", "x"},
	{"-m", "./a//b/../c", "x"},
	{"-m", "", "x"},
	{"/nonexistent/backup/"},
}

// called runs a program under the name of PostgreSQL's own.
func called(t *testing.T, path string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := &exec.Cmd{Path: path, Args: append([]string{oracle}, args...), Dir: "/", Env: []string{"LC_ALL=C"}, Stdout: &stdout, Stderr: &stderr}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestCommandLinesAreAcceptedAndRefusedAsByPgVerifybackup(t *testing.T) {
	for _, args := range commandLines {
		want, got := called(t, oracle, args...), called(t, pgbasin, args...)
		if got != want {
			t.Errorf("%q:\n%+v\nwant\n%+v", args, got, want)
		}
	}
}

func TestOptionsThatCameAfter15AreThoseOf18(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // on standard error, with exit status 1
	}{
		{[]string{"-F", "x", "x"}, "pg_verifybackup: error: invalid backup format \"x\", must be \"plain\" or \"tar\"\n"},
		{[]string{"--format=TAR", "x"}, "pg_verifybackup: error: invalid backup format \"TAR\", must be \"plain\" or \"tar\"\n"},
		{[]string{"-P", "-q", "x"}, "pg_verifybackup: error: cannot specify both -P/--progress and -q/--quiet\n"},
		{[]string{"--progress", "--quiet"}, "pg_verifybackup: error: no backup directory specified\npg_verifybackup: hint: Try \"pg_verifybackup --help\" for more information.\n"},
	} {
		if got := called(t, pgbasin, c.args...); got != (outcome{1, "", c.want}) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}

func TestHelpHasTheOptionsOfPgVerifybackup(t *testing.T) {
	for _, option := range []string{"-?", "--help"} {
		want, got := called(t, oracle, option), called(t, pgbasin, option)
		have := map[string]bool{}
		for line := range strings.Lines(got.stdout) {
			have[line] = true
		}
		for line := range strings.Lines(want.stdout) {
			if !have[line] && !strings.Contains(line, "PostgreSQL home page") && !strings.Contains(line, "Report bugs") {
				t.Errorf("%s: there is no %q", option, line)
			}
		}
		if got.status != 0 || got.stderr != "" {
			t.Errorf("%s: %+v", option, got)
		}
	}
	for _, option := range []string{"-V", "--version"} {
		if got := called(t, pgbasin, option); got.status != 0 || !strings.HasPrefix(got.stdout, "pg_verifybackup (PostgreSQL) 18.") {
			t.Errorf("%s: %+v", option, got)
		}
	}
	own := run(t, 0, pgbasin, "verify", "--help")
	for _, option := range []string{"--checksums", "--jobs", "--json", "Usage:\n  pgbasin verify [OPTION]... BACKUPDIR\n"} {
		if !strings.Contains(own.stdout, option) {
			t.Errorf("pgbasin verify --help does not have %q", option)
		}
	}
}

func TestProgressIsShownAsByPgVerifybackup(t *testing.T) {
	for _, c := range []struct {
		args []string
		unit string
	}{{[]string{plainBackup}, "kB (100%) verified"}, {[]string{tarBackup}, "kB (100%) verified"}} {
		got := run(t, 0, pgVerifybackup, append([]string{"-P"}, c.args...)...)
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		first, last := lines[0], lines[len(lines)-1]
		done, rest, _ := strings.Cut(last, "/")
		if got.status != 0 || got.stdout != "backup successfully verified\n" || !strings.HasPrefix(rest, done+" "+c.unit) {
			t.Errorf("%+v", got)
		}
		if !strings.HasPrefix(strings.TrimLeft(first, " "), "0/"+done+" kB (0%) verified") || len(first) != len(last)-2 {
			t.Errorf("first report %q, last %q", first, last)
		}
	}
	if got := run(t, 0, pgVerifybackup, "-P", "-s", plainBackup); got.stderr != "" {
		t.Errorf("progress without anything to read: %q", got.stderr)
	}
}

func TestJobsAreChecked(t *testing.T) {
	for _, jobs := range []string{"0", "-1", "x", "99999"} {
		if got := run(t, 0, pgbasin, "verify", "-j", jobs, plainBackup); got.status != 1 || !strings.Contains(got.stderr, "-j/--jobs") {
			t.Errorf("-j %s: %+v", jobs, got)
		}
	}
	for _, jobs := range []string{"1", "5"} {
		verifiedJSON(t, "-j", jobs, plainBackup)
	}
}
