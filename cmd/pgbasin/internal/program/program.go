// Package program is what a command knows of the process it runs in: its name,
// arguments, environment, and where its messages go.
package program

import (
	"context"
	"io"
	"strings"

	"github.com/pgbasin/pgbasin/conninfo"
)

// Program is one call of a command.
type Program struct {
	// Name stands in front of messages: "pgbasin", or the name of the tool
	// that is stood in for.
	Name string
	// Call is what a user types to get here: "pgbasin backup", "pg_basebackup".
	Call string
	// Argv0 is the name under which the program was started, with its path.
	Argv0 string
	// DropIn is set when the command stands in for PostgreSQL's tool Name.
	DropIn bool
	// Args are the arguments of the command, without the names of program and
	// command.
	Args []string
	// Version is that of pgbasin.
	Version string

	LookupEnv func(name string) (string, bool)
	Stdin     io.Reader
	Stdout    io.Writer
	Console   *Console
	// NoTerminal keeps questions away from the controlling terminal.
	NoTerminal bool

	Interrupts Interrupts
}

// Interrupts returns a context that ends when the user wants the command to
// end, with an *interrupt.Error as its cause. When the user insists, the process
// ends after a call of abandon. stop must be called. nil: there are none.
type Interrupts func(ctx context.Context, abandon func()) (_ context.Context, stop func())

// Answer puts what was asked for on standard output and returns the exit
// status.
func (p *Program) Answer(text string) int {
	if _, err := io.WriteString(p.Stdout, text); err != nil {
		p.Error("could not write to standard output: " + err.Error())
		return 1
	}
	return 0
}

// Error prints what made the command fail, as PostgreSQL's tools do
// (src/common/logging.c). Further lines of text stay as they are. A password in an
// argument that is quoted, such as a connection string in the wrong place, is
// hidden.
func (p *Program) Error(text string) { p.message("error: ", conninfo.Hide(text)) }

// Complain prints a complaint of getopt_long, which speaks under the name that it
// was given, with the path. It hides passwords as Error does.
func (p *Program) Complain(text string) { p.Console.Line(p.Argv0 + ": " + conninfo.Hide(text)) }

// Detail adds to an error.
func (p *Program) Detail(text string) { p.message("detail: ", text) }

// Hint says what can be done about an error or a warning.
func (p *Program) Hint(text string) { p.message("hint: ", text) }

// Warning prints what does not keep the command from going on.
func (p *Program) Warning(text string) { p.message("warning: ", text) }

// Debug prints what is of interest when something is looked for.
func (p *Program) Debug(text string) { p.message("debug: ", text) }

// Info prints what the command does.
func (p *Program) Info(text string) { p.message("", text) }

func (p *Program) message(label, text string) {
	p.Console.Line(p.Name + ": " + label + strings.TrimSuffix(text, "\n"))
}

// HintHelp points to the list of options.
func (p *Program) HintHelp() {
	p.Hint(`Try "` + p.Call + ` --help" for more information.`)
}

// VersionLine is what --version prints. Scripts take a number from that of a
// PostgreSQL tool: it names the release whose options and messages are followed.
func (p *Program) VersionLine() string {
	if p.DropIn {
		return p.Name + " (PostgreSQL) " + PostgreSQL + " (pgbasin " + p.Version + ")\n"
	}
	return "pgbasin " + p.Version + "\n"
}

// PostgreSQL is the release that the drop-in names stand for.
const PostgreSQL = "18.4"

// Home is where pgbasin lives.
const Home = "https://github.com/pgbasin/pgbasin"
