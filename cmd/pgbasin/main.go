// Pgbasin takes base backups of PostgreSQL servers and receives their
// write-ahead log. Under the names of PostgreSQL's own tools it stands in for
// them.
package main

import (
	"io"
	"os"
	"runtime/debug"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/backup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/combine"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/info"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/interrupt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/prove"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/receive"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/restore"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/verify"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/walfiles"
)

// version is set by the Makefile. Other builds know theirs from the module.
var version = ""

// commands are the subcommands, and the tools that they stand in for.
var commands = []command{
	{name: "backup", dropIn: "pg_basebackup", about: "take a base backup of a running server", run: backup.Run},
	{name: "receive", dropIn: "pg_receivewal", formerly: "pg_receivexlog", about: "receive the write-ahead log of a running server into an archive", run: receive.Run},
	{name: "restore", about: "lay out a data directory from a base backup", run: restore.Run},
	{name: "prove", about: "restore a base backup, start a server on it and check its data", run: prove.Run},
	{name: "info", about: "show what a base backup is and what one can recover to", run: info.Run},
	{name: "verify", dropIn: "pg_verifybackup", about: "check a base backup against its manifest and its WAL", run: verify.Run},
	{name: "combine", dropIn: "pg_combinebackup", about: "make one full backup of a full one and the incremental ones after it", run: combine.Run},
	{name: "wal-push", about: "put a WAL file into an archive, as archive_command", run: walfiles.Push},
	{name: "wal-fetch", about: "take a WAL file out of an archive, as restore_command", run: walfiles.Fetch},
}

func main() {
	os.Exit(run(&process{
		args: takeArguments(os.Args), lookupEnv: os.LookupEnv,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		interrupts: interrupt.Watch,
	}))
}

// process is what the operating system gives to a program.
type process struct {
	args           []string // with the program's name
	lookupEnv      func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	noTerminal     bool
	interrupts     program.Interrupts
}

// run returns the exit status.
func run(proc *process) int {
	p := &program.Program{
		Argv0:      "pgbasin",
		Version:    buildVersion(),
		LookupEnv:  proc.lookupEnv,
		Stdin:      proc.stdin,
		Stdout:     proc.stdout,
		Console:    program.NewConsole(proc.stderr),
		NoTerminal: proc.noTerminal,
		Interrupts: proc.interrupts,
	}
	if len(proc.args) > 0 {
		p.Argv0, p.Args = proc.args[0], proc.args[1:]
	}
	return dispatch(p)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
