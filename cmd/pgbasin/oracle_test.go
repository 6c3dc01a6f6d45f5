package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// oracle is the pg_basebackup whose answers are compared with ours.
const oracle = "/usr/lib/postgresql/15/bin/pg_basebackup"

// output is what a run of a program gave.
type output struct {
	stdout, stderr string
	status         int
}

// runIn calls run in this process, with no more environment than env.
func runIn(env map[string]string, stdin string, args ...string) output {
	var stdout, stderr bytes.Buffer
	status := run(&process{
		args:      args,
		lookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		stdin:     strings.NewReader(stdin),
		stdout:    &stdout, stderr: &stderr, noTerminal: true,
	})
	return output{stdout.String(), stderr.String(), status}
}

// runOracle runs PostgreSQL's own tool with the same.
func runOracle(t *testing.T, env map[string]string, args ...string) output {
	t.Helper()
	cmd := exec.Command(oracle, args...)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("PostgreSQL 15's pg_basebackup is needed to compare with; install postgresql-client-15: %v", err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// nowhere is an environment in which no server is found: a command line that is
// accepted ends with that.
func nowhere(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	return map[string]string{"PGHOST": dir, "PGUSER": "nobody", "HOME": dir, "LC_ALL": "C", "TZ": "UTC"}
}

func TestCommandLinesAreAcceptedAndRefusedAsByPgBasebackup(t *testing.T) {
	env := nowhere(t)
	for _, args := range commandLines {
		want := runOracle(t, env, args...)
		got := runIn(env, "", append([]string{oracle}, args...)...)
		if got != want {
			t.Errorf("%q:\n%+v\nwant\n%+v", args, got, want)
		}
	}
}

// commandLines are those about which releases 15 and 18 agree. Missing are
// empty values of -D and -t, which pg_basebackup has its system or the server
// refuse.
var commandLines = [][]string{
	{},
	{""},
	{"-"},
	{"-D"},
	{"-D", "x"},
	{"-Dx"},
	{"-D", "x", "y"},
	{"y", "-D", "x"},
	{"-D", "x", "--", "-F"},
	{"-D", "x", "-"},
	{"--pgdata"},
	{"--pgdata=x"},
	{"--pgdata", "x"},
	{"--pgd", "x"},
	{"--pg=x"},
	{"--pg"},
	{"--p"},
	{"--no"},
	{"--no-s"},
	{"--no-s=3"},
	{"--no-v", "-Fx"},
	{"--no-verify", "-Fx"},
	{"--foo"},
	{"--foo=bar"},
	{"---foo"},
	{"-q"},
	{"-ö"},
	{"-D", "x", "-?"},
	{"-D", "x", "-V"},
	{"-D", "x", "--help"},
	{"-D", "x", "--version"},
	{"--help=1"},
	{"--hel"},
	{"--gzip=3"},
	{"--gzip="},
	{"--verb=3"},
	{"-D", "x", "-z=3"},
	{"-z="},
	{"-z-"},
	{"-vz-D"},
	{"-vP", "--no-estimate-size", "-D", "x"},
	{"-zPvDx"},

	{"-F"},
	{"-Fx"},
	{"-F=t"},
	{"-Fp", "-D", "x"},
	{"-Ft", "-D", "x"},
	{"-F", "plain", "-D", "x"},
	{"--format=tar", "-D", "x"},
	{"--format", "TAR", "-D", "x"},
	{"--form=zip"},

	{"-c"},
	{"-cfoo"},
	{"-cfast", "-D", "x"},
	{"-c", "FAST", "-D", "x"},
	{"-cSpread", "-D", "x"},
	{"--check=fas"},
	{"--checkpoint=spread", "-D", "x"},

	{"-X"},
	{"-Xfoo"},
	{"-X", "n", "-D", "x"},
	{"-Xf", "-D", "x"},
	{"-Xs", "-D", "x"},
	{"--wal-method=fetch", "-D", "x"},
	{"--wal-m", "stream", "-D", "x"},
	{"-X", "none", "-X", "stream", "-D", "x"},

	{"-s"},
	{"-s", ""},
	{"-s", "", "-Fx"},
	{"-s", "x"},
	{"-s", "5x"},
	{"-s", "-1"},
	{"-s", "--1"},
	{"-s", "+-1"},
	{"-s", "+1", "-Fx"},
	{"-s", " 5 ", "-Fx"},
	{"-s", "1.5"},
	{"-s", "2147483", "-Fx"},
	{"-s", "2147484"},
	{"-s", "999999999999999999999"},
	{"-s", " "},

	{"-r"},
	{"-r", ""},
	{"-r", "abc"},
	{"-r", "k"},
	{"-r", "."},
	{"-r", "-"},
	{"-r", "0"},
	{"-r", "-5"},
	{"-r", "1"},
	{"-r", "31.9"},
	{"-r", "32", "-Fx"},
	{"-r", "32.9", "-Fx"},
	{"-r", ".5e3", "-Fx"},
	{"-r", "5.e1k", "-Fx"},
	{"-r", "32e", "-Fx"},
	{"-r", "32e+", "-Fx"},
	{"-r", " 100 k ", "-Fx"},
	{"-r", "100kx"},
	{"-r", "100 k k"},
	{"-r", "100K"},
	{"-r", "1M", "-Fx"},
	{"-r", "1024M", "-Fx"},
	{"-r", "1025M"},
	{"-r", "1048576", "-Fx"},
	{"-r", "1048577"},
	{"-r", "5000000000"},
	{"-r", "1e400"},
	{"-r", "nan"},
	{"-r", "-nan"},
	{"-r", "0x100", "-Fx"},
	{"-r", "0x1p6", "-Fx"},
	{"-r", "0x1.8p6k", "-Fx"},
	{"-r", "0x", "-Fx"},
	{"-r", "0x.", "-Fx"},

	{"-T"},
	{"-T", ""},
	{"-T", "a"},
	{"-T", "a="},
	{"-T", "=b"},
	{"-T", "/a=b"},
	{"-T", "a=/b"},
	{"-T", "/a=/b", "-D", "x"},
	{"-T", "/a=/b=/c"},
	{"-T", "/a==/b", "-Fx"},
	{"-T", `/a\=b=/c`, "-Fx"},
	{"-T", `a\=b=/c`},
	{"-T", `\=/c`},
	{"-T", `C:\a=/b`, "-Fx"},
	{"-T", `C:/a=/b`, "-Fx"},
	{"-T", `C:a=/b`},
	{"-T", `\a=/b`, "-Fx"},
	{"-T", "/a=C:/b"},
	{"-T", "/" + strings.Repeat("a", 1023) + "=/b", "-Fx"},
	{"-T", "/" + strings.Repeat("a", 1030)},

	{"-t", "blackhole"},
	{"-t", "blackhole", "-X", "none"},
	{"-t", "blackhole", "-X", "fetch"},
	{"-t", "server:/x", "-X", "none"},
	{"-t", "server:/x", "-D", "x", "-X", "none"},
	{"-t", "server:/x", "-X", "none", "-Fp"},
	{"-t", "client"},
	{"-t", "client", "-D", "x"},
	{"-t", "client", "-D", "x", "-Ft"},
	{"-t", ""},
	{"-t", "blackhole", "-X", "none", "-Z", "client-gzip"},
	{"-t", "blackhole", "-X", "none", "-Z", "client-none"},
	{"-t", "blackhole", "-X", "none", "-Z", "gzip"},
	{"-t", "blackhole", "-X", "none", "-z"},
	{"-t", "blackhole", "-X", "none", "--waldir=/foo"},
	{"-t", "blackhole", "-X", "none", "-S", "s"},
	{"-t", "blackhole", "-Z", "client-turkey"},

	{"-D", "x", "-z"},
	{"-D", "x", "-Ft", "-z"},
	{"-D", "x", "-Z", "1"},
	{"-D", "x", "-Z", "none"},
	{"-D", "x", "-Z", "client-none"},
	{"-D", "x", "-Z", "none:3"},
	{"-D", "x", "-Z", "none:workers=3"},
	{"-D", "x", "-Z", "server-gzip"},
	{"-D", "x", "-Z", "server-foo:bar"},
	{"-D", "x", "-Ft", "-Z"},
	{"-D", "x", "-Ft", "-Z", "foo"},
	{"-D", "x", "-Ft", "-Z", "foo:3"},
	{"-D", "x", "-Ft", "-Z", "GZIP"},
	{"-D", "x", "-Ft", "-Z", "gzip"},
	{"-D", "x", "-Ft", "-Z", "gzip:"},
	{"-D", "x", "-Ft", "-Z", "gzip:9"},
	{"-D", "x", "-Ft", "-Z", "gzip:10"},
	{"-D", "x", "-Ft", "-Z", "gzip:level="},
	{"-D", "x", "-Ft", "-Z", "gzip:level"},
	{"-D", "x", "-Ft", "-Z", "gzip:level=x"},
	{"-D", "x", "-Ft", "-Z", "gzip:level=5,"},
	{"-D", "x", "-Ft", "-Z", "gzip:foo=5"},
	{"-D", "x", "-Ft", "-Z", "gzip:workers=5"},
	{"-D", "x", "-Ft", "-Z", "9"},
	{"-D", "x", "-Ft", "-Z", "10"},
	{"-D", "x", "-Ft", "-Z", "client-gzip:3"},
	{"-D", "x", "-Ft", "-Z", "lz4:12"},
	{"-D", "x", "-Ft", "-Z", "lz4:13"},
	{"-D", "x", "-Ft", "-Z", "zstd:22"},
	{"-D", "x", "-Ft", "-Z", "zstd:level=3,workers=2"},
	{"-D", "x", "-Ft", "-Z", "zstd:workers=x"},
	{"-D", "x", "-Ft", "-z", "-Z", "none"},
	{"-D", "x", "-Z", "gzip", "-Z", "none"},

	{"-D", "-", "-Ft", "-X", "none"},
	{"-D", "-", "-Ft", "-X", "none", "-S", "foo"},
	{"-D", "x", "-X", "fetch", "-S", "foo"},
	{"-D", "x", "-S", "foo"},
	{"-D", "x", "--slot=foo", "-C"},
	{"-D", "x", "--no-slot"},
	{"-D", "x", "--no-slot", "-S", "foo"},
	{"-D", "x", "--no-slot", "-C"},
	{"-D", "x", "--no-slot", "-C", "-S", "foo"},
	{"-D", "x", "-C"},
	{"-D", "x", "-C", "-X", "none"},

	{"-D", "x", "--waldir=foo"},
	{"-D", "x", "--waldir="},
	{"-D", "x", "--waldir=/foo/"},
	{"-D", "x", "-Ft", "--waldir=/foo"},
	{"-D", "x", "-Ft", "--waldir=foo"},

	{"-D", "x", "-P", "--no-estimate-size"},
	{"-D", "x", "--no-manifest", "--manifest-checksums=x"},
	{"-D", "x", "--no-manifest", "--manifest-checksums", ""},
	{"-D", "x", "--no-manifest", "--manifest-force-encode"},
	{"-D", "x", "--no-manifest", "-N", "-n", "-R", "-w", "-v", "-v", "-l", "label"},

	{"-D", "x", "-d", "host=/nowhere port=1"},
	{"-D", "x", "-d", "host=/nowhere port=1", "-h", "/elsewhere", "-p", "2"},
	{"-D", "x", "-d", "postgresql://%2fnowhere:7/db?user=me"},
	{"-D", "x", "-d", "foo=bar"},
	{"-D", "x", "-d", "host"},
	{"-D", "x", "-d", "host='x"},
	{"-D", "x", "-d", ""},
	{"-D", "x", "-p", "foo"},
	{"-D", "x", "-p", "99999"},
	{"-D", "x", "-h", "", "-p", "", "-U", ""},

	// The first fault in the order of arguments counts, then pg_basebackup's
	// own order.
	{"-Fx", "-cfoo"},
	{"-cfoo", "-Fx"},
	{"-Fx", "--foo"},
	{"x", "-Fx"},
	{"-Z", "foo", "-t", "x", "-D", "x", "-Fp"},
	{"-D", "x", "-Z", "gzip", "-S", "s", "-X", "none", "--waldir=x"},
	{"-D", "x", "-S", "s", "-X", "none", "--waldir=x"},
	{"-D", "x", "--waldir=x", "-P", "--no-estimate-size"},
}

func TestOptionsThatBothReleasesKnowAreInTheHelp(t *testing.T) {
	theirs := runOracle(t, nowhere(t), "--help").stdout
	for _, arg := range []string{"--help", "-?"} {
		ours := runIn(nil, "", oracle, arg)
		if ours.status != 0 || ours.stderr != "" {
			t.Fatalf("%s: %+v", arg, ours)
		}
		for line := range strings.Lines(theirs) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(name, "-") && !strings.Contains(ours.stdout, "\n"+line[:len(line)-len(strings.TrimLeft(line, " "))]+name) {
				t.Errorf("%s lacks %q", arg, line)
			}
		}
		if !strings.HasSuffix(ours.stdout, "pgbasin home page: <https://github.com/pgbasin/pgbasin>\n") {
			t.Errorf("%s ends with %q", arg, ours.stdout[len(ours.stdout)-80:])
		}
	}
}
