package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// receiveOracle is the pg_receivewal whose answers are compared with ours.
const receiveOracle = "/usr/lib/postgresql/15/bin/pg_receivewal"

// runReceiveOracle runs PostgreSQL's own tool.
func runReceiveOracle(t *testing.T, env map[string]string, args ...string) output {
	t.Helper()
	cmd := exec.Command(receiveOracle, args...)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("PostgreSQL 15's pg_receivewal is needed to compare with; install postgresql-client-15: %v", err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func TestCommandLinesAreAcceptedAndRefusedAsByPgReceivewal(t *testing.T) {
	env := nowhere(t)
	dir := env["HOME"]
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range receiveCommandLines {
		args := make([]string, len(line))
		for i, arg := range line {
			args[i] = strings.ReplaceAll(arg, "DIR", dir)
		}
		want := runReceiveOracle(t, env, args...)
		got := runIn(env, "", append([]string{receiveOracle}, args...)...)
		if got != want {
			t.Errorf("%q:\n%+v\nwant\n%+v", line, got, want)
		}
	}
}

// receiveCommandLines are those about which releases 15 and 18 agree.
var receiveCommandLines = [][]string{
	{},
	{""},
	{"-D"},
	{"-D", "DIR"},
	{"-DDIR", "y"},
	{"-D", "DIR/none"},
	{"-D", "DIR/file"},
	{"-D", ""},
	{"--directory=DIR"},
	{"--dir", "DIR"},
	{"--d=DIR"},
	{"--no"},
	{"--no-l", "-D", "DIR"},
	{"--s", "x"},
	{"--foo"},
	{"-q"},
	{"-C"},
	{"-D", "DIR", "-?"},
	{"-D", "DIR", "-V"},
	{"-D", "DIR", "--help"},
	{"--version=1"},
	{"-nvDDIR"},

	{"-E", "0/0", "-D", "DIR"},
	{"-E", "1/FFFFFFFF", "-D", "DIR"},
	{"-E", " 0x1/ 0X2", "-D", "DIR"},
	{"-E", "1/2xyz", "-D", "DIR"},
	{"-E", "1/2/3", "-D", "DIR"},
	{"-E", "-1/+2", "-D", "DIR"},
	{"-E", "123456789ABCDEF/1", "-D", "DIR"},
	{"-E"},
	{"-E", ""},
	{"-E", "x"},
	{"-E", "1"},
	{"-E", "1/"},
	{"-E", "/1"},
	{"-E", "1 /1"},
	{"-E", "1/x"},
	{"-E", "1-1"},
	{"--endpos=1/g", "-D", "DIR"},

	{"-s", "-1"},
	{"-s", "x"},
	{"-s", " 5 ", "-D", "DIR"},
	{"-s", "2147483", "-D", "DIR"},
	{"-s", "2147484"},
	{"--status=1", "-D", "DIR"},

	{"--create-slot"},
	{"--drop-slot"},
	{"--create-slot", "--drop-slot"},
	{"--create-slot", "--drop-slot", "-S", "s"},
	{"--create-slot", "-S", "s"},
	{"--create-slot", "--if-not-exists", "-S", "s"},
	{"--drop-slot", "--slot=s"},
	{"--drop-slot", "--slot=s", "-D", "DIR/none"},
	{"--if-not-exists", "-D", "DIR"},
	{"--synchronous", "--no-sync", "-D", "DIR"},
	{"--synchronous", "-D", "DIR"},
	{"--no-sync", "-D", "DIR"},

	{"-D", "DIR", "-Z", "none"},
	{"-D", "DIR", "-Z", "gzip"},
	{"-D", "DIR", "-Z", "lz4"},
	{"-D", "DIR", "-Z", "1"},
	{"-D", "DIR", "-Z", "9"},
	{"-D", "DIR", "-Z", "10"},
	{"-D", "DIR", "-Z", "foo"},
	{"-D", "DIR", "-Z", "foo:1"},
	{"-D", "DIR", "-Z", "GZIP"},
	{"-D", "DIR", "-Z", "client-gzip"},
	{"-D", "DIR", "-Z", "server-gzip:3"},
	{"-D", "DIR", "-Z", "none:1"},
	{"-D", "DIR", "-Z", "gzip:level=3"},
	{"-D", "DIR", "-Z", "gzip:level=x"},
	{"-D", "DIR", "-Z", "gzip:0"},
	{"-D", "DIR", "-Z", "gzip:"},
	{"-D", "DIR", "-Z", "gzip:workers=3"},
	{"-D", "DIR", "-Z", "lz4:12"},
	{"-D", "DIR", "-Z", "lz4:13"},
	{"-D", "DIR", "-Z", "zstd:23"},
	{"--compress=gzip:1", "--directory=DIR"},
	{"--compress"},

	{"-D", "DIR", "-d", "host=/nowhere port=1"},
	{"-D", "DIR", "-d", "foo=bar"},
	{"-D", "DIR", "-d", "postgresql://%2fnowhere:7/db?user=me"},
	{"-D", "DIR", "-h", "/elsewhere", "-p", "2", "-U", "me", "-w"},
	{"-D", "DIR", "-p", "foo"},

	// The first fault in the order of arguments counts, then pg_receivewal's
	// own order.
	{"-E", "x", "-s", "y"},
	{"-s", "y", "-E", "x"},
	{"x", "--create-slot", "--drop-slot"},
	{"--create-slot", "--synchronous", "--no-sync"},
	{"--synchronous", "--no-sync"},
	{"-Z", "foo"},
	{"-Z", "foo", "-D", "DIR/none"},
}

func TestReceiveOptionsThatBothReleasesKnowAreInTheHelp(t *testing.T) {
	theirs := runReceiveOracle(t, nowhere(t), "--help").stdout
	for _, arg := range []string{"--help", "-?"} {
		ours := runIn(nil, "", receiveOracle, arg)
		if ours.status != 0 || ours.stderr != "" {
			t.Fatalf("%s: %+v", arg, ours)
		}
		for line := range strings.Lines(theirs) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(name, "-") && !strings.Contains(ours.stdout, "\n"+line[:len(line)-len(strings.TrimLeft(line, " "))]+name) {
				t.Errorf("%s lacks %q", arg, line)
			}
		}
	}
}

func TestRefusalsOfReceiveThatPostgreSQL15DoesNotKnow(t *testing.T) {
	const hint = "pg_receivewal: hint: Try \"pg_receivewal --help\" for more information.\n"
	env := nowhere(t)
	dir := env["HOME"]
	accepted := "pg_receivewal: error: connection to server on socket \"" + env["PGHOST"] + "/.s.PGSQL.5432\" failed: No such file or directory\n" +
		"\tIs the server running locally and accepting connections on that socket?\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-D", dir, "-Z", "zstd"}, accepted},
		{[]string{"-D", dir, "-Z", "zstd:level=3"}, accepted},
		{[]string{"-D", dir, "-Z", "0"}, accepted},
		{[]string{"-D", dir, "-S", ""}, "pg_receivewal: error: replication slot name \"\" is too short\n"},
		{[]string{"-D", dir, "--stat=5"}, accepted},
		{[]string{"-D", dir, "--status-listen=127.0.0.1:0"}, accepted},
		{[]string{"-D", dir, "--status-listen"}, "pg_receivewal: option '--status-listen' requires an argument\n" + hint},
		{[]string{"-D", dir, "--status-listen=256.0.0.1:x"}, "pg_receivewal: error: could not listen on \"256.0.0.1:x\": "},
	} {
		got := runIn(env, "", append([]string{"pg_receivewal"}, c.args...)...)
		if !strings.HasPrefix(got.stderr, c.want) || got.stdout != "" || got.status != 1 {
			t.Errorf("%q:\n%+v\nwant\n%s", c.args, got, c.want)
		}
	}
	if got := runIn(env, "", "pgbasin", "receive"); got.stderr != "pgbasin: error: no target directory specified\npgbasin: hint: Try \"pgbasin receive --help\" for more information.\n" || got.status != 1 {
		t.Errorf("%+v", got)
	}
	if got := runIn(env, "", "pg_receivexlog", "--foo"); got.stderr != "pg_receivexlog: unrecognized option '--foo'\npg_receivexlog: hint: Try \"pg_receivexlog --help\" for more information.\n" {
		t.Errorf("%+v", got)
	}
}
