package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// Where release 18 differs from the 15 that the other tests compare with, and
// where pgbasin differs from both.
func TestRefusalsThatPostgreSQL15DoesNotKnow(t *testing.T) {
	const hint = "pg_basebackup: hint: Try \"pg_basebackup --help\" for more information.\n"
	env := nowhere(t)
	accepted := "pg_basebackup: error: connection to server on socket \"" + env["PGHOST"] + "/.s.PGSQL.5432\" failed: No such file or directory\n" +
		"\tIs the server running locally and accepting connections on that socket?\n"
	twoMethods := "pg_basebackup: error: cannot specify both --xlog and --xlog-method\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-k"}, "pg_basebackup: invalid option -- 'k'\n" + hint},
		{[]string{"-D", "x", "-i", "m"}, accepted},
		{[]string{"--incremental=m", "-D", "x", "-Ft", "--no-manifest"}, accepted},
		{[]string{"-i"}, "pg_basebackup: option requires an argument -- 'i'\n" + hint},
		{[]string{"--incr"}, "pg_basebackup: option '--incremental' requires an argument\n" + hint},

		{[]string{"--sync-method=fsync", "-D", "x"}, accepted},
		{[]string{"--sync-method", "foo"}, "pg_basebackup: error: unrecognized sync method: foo\n"},
		{[]string{"--s", "x"}, "pg_basebackup: option '--s' is ambiguous; possibilities: '--slot' '--status-interval' '--sync-method'\n" + hint},
		{[]string{"--sy=fsync", "-D", "x"}, accepted},
		{[]string{"--=x"}, "pg_basebackup: option '--=x' is ambiguous; possibilities: '--help' '--version' '--pgdata' '--format' '--incremental' '--checkpoint'" +
			" '--create-slot' '--max-rate' '--write-recovery-conf' '--slot' '--target' '--tablespace-mapping' '--wal-method' '--gzip' '--compress' '--label'" +
			" '--no-clean' '--no-sync' '--dbname' '--host' '--port' '--username' '--no-password' '--password' '--status-interval' '--verbose' '--progress'" +
			" '--waldir' '--no-slot' '--no-verify-checksums' '--no-estimate-size' '--no-manifest' '--manifest-force-encode' '--manifest-checksums' '--sync-method'\n" + hint},

		{[]string{"-D", "x", "-Ft", "-Z", "0"}, accepted},
		{[]string{"-D", "x", "-Z", "0"}, accepted},
		{[]string{"-D", "x", "-Ft", "-Z", "lz4:"}, "pg_basebackup: error: invalid compression specification: found empty string where a compression option was expected\n"},
		{[]string{"-D", "x", "-Z", "server-gzip:"}, "pg_basebackup: error: invalid compression specification: found empty string where a compression option was expected\n"},
		{[]string{"-D", "x", "-Ft", "-Z", "zstd:long=maybe"}, "pg_basebackup: error: invalid compression specification: value for compression option \"long\" must be a Boolean value\n"},
		{[]string{"-D", "x", "-Ft", "-Z", "gzip:long"}, "pg_basebackup: error: invalid compression specification: compression algorithm \"gzip\" does not support long-distance mode\n"},

		{[]string{"-D", "x", "-x"}, accepted},
		{[]string{"-xPD", "x"}, accepted},
		{[]string{"--xlog", "-D", "x", "-x"}, accepted},
		{[]string{"-D", "x", "-x", "-S", "s"}, "pg_basebackup: error: replication slots can only be used with WAL streaming\n" + hint},
		{[]string{"-D", "x", "-x", "-X", "fetch"}, twoMethods},
		{[]string{"-D", "x", "-Xs", "--xlog"}, twoMethods},
		{[]string{"-D", "x", "--xlog-method=fetch", "-S", "s"}, "pg_basebackup: error: replication slots can only be used with WAL streaming\n" + hint},
		{[]string{"-D", "x", "--xlog-method=foo"}, "pg_basebackup: error: invalid wal-method option \"foo\", must be \"fetch\", \"stream\", or \"none\"\n"},
		{[]string{"-D", "x", "--xlogdir=foo"}, "pg_basebackup: error: WAL directory location must be an absolute path\n" + hint},

		{[]string{"-D", ""}, "pg_basebackup: error: could not create directory \"\": No such file or directory\n"},
		{[]string{"-D", "", "-Fx"}, "pg_basebackup: error: invalid output format \"x\", must be \"plain\" or \"tar\"\n"},
		{[]string{"-t", "", "-X", "none"}, "pg_basebackup: error: unrecognized target: \"\"\n"},
		{[]string{"-t", "server:/x", "-X", "none", "-R"}, "pg_basebackup: error: recovery configuration cannot be written when a backup target is used\n"},
		{[]string{"-D", "x", "-S", ""}, "pg_basebackup: error: replication slot name \"\" is too short\n"},

		{[]string{"-D", "-", "-Ft"}, accepted},
		{[]string{"-D", "-", "-Ft", "-X", "stream", "-S", "s"}, accepted},
		{[]string{"-D", "x", "--no-v"}, accepted},
		{[]string{"-D", "x", "--no-verify"}, accepted},
		{[]string{"-D", "x", "--server-timeout=9"}, accepted},
		{[]string{"-D", "x", "--server-time=9"}, "pg_basebackup: unrecognized option '--server-time=9'\n" + hint},
	} {
		got := runIn(env, "", append([]string{"pg_basebackup"}, c.args...)...)
		if got != (output{"", c.want, 1}) {
			t.Errorf("%q:\n%+v\nwant\n%s", c.args, got, c.want)
		}
	}
}

func TestOwnNameSpeaksForItself(t *testing.T) {
	const hint = "pgbasin: hint: Try \"pgbasin backup --help\" for more information.\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "pgbasin: error: must specify output directory or backup target\n" + hint},
		{[]string{"-k"}, "pgbasin: invalid option -- 'k'\n" + hint},
		{[]string{"--no-ver"}, "pgbasin: option '--no-ver' is ambiguous; possibilities: '--no-verify-checksums' '--no-verify'\n" + hint},
		{[]string{"--no-verify", "-Fx"}, "pgbasin: error: invalid output format \"x\", must be \"plain\" or \"tar\"\n"},
		{[]string{"--server-timeout=x"}, "pgbasin: error: invalid value \"x\" for option --server-timeout\n"},
		{[]string{"--server-timeout=-1"}, "pgbasin: error: --server-timeout must be in range 0..2147483647\n"},
		{[]string{"--js", "-Fx", "-D", "x"}, "pgbasin: error: invalid output format \"x\", must be \"plain\" or \"tar\"\n"},
	} {
		got := runIn(nil, "", append([]string{"/opt/bin/pgbasin", "backup"}, c.args...)...)
		if got.stderr != c.want || got.status != 1 {
			t.Errorf("%q:\n%+v\nwant\n%s", c.args, got, c.want)
		}
	}
}

func TestFailureWithJSONIsAnObjectAndAMessage(t *testing.T) {
	env := nowhere(t)
	for _, c := range []struct {
		args    string
		message string
	}{
		{"--json -Fx -D x", "invalid output format \"x\", must be \"plain\" or \"tar\""},
		{"-Fx -D x --json", "invalid output format \"x\", must be \"plain\" or \"tar\""},
		{"--json", "must specify output directory or backup target"},
		{"--json -q", "invalid option -- 'q'"},
		{"--json -D x", "connection to server on socket \"" + env["PGHOST"] + "/.s.PGSQL.5432\" failed: No such file or directory\n" +
			"\tIs the server running locally and accepting connections on that socket?"},
		{"--json -D x -d foo=bar", "invalid connection option \"foo\""},
	} {
		got := runIn(env, "", append([]string{"pg_basebackup"}, strings.Fields(c.args)...)...)
		var object struct {
			Error    string
			SQLState *string
		}
		if err := json.Unmarshal([]byte(got.stdout), &object); err != nil || strings.Count(got.stdout, "\n") != 1 {
			t.Errorf("%s: %v: %q", c.args, err, got.stdout)
			continue
		}
		if object.Error != c.message || object.SQLState == nil || *object.SQLState != "" || got.status != 1 {
			t.Errorf("%s: %+v, exit status %d", c.args, object, got.status)
		}
		if !strings.Contains(got.stderr, ": "+c.message+"\n") {
			t.Errorf("%s: stderr %q", c.args, got.stderr)
		}
	}
	got := runIn(env, "", "pg_basebackup", "--json", "-Ft", "-D", "-")
	if got.stdout != "" || !strings.Contains(got.stderr, "\n{\"error\":\"connection") {
		t.Errorf("with the backup on standard output: %+v", got)
	}
}
