package main

import (
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// command is a subcommand of pgbasin.
type command struct {
	name   string
	dropIn string // the tool of PostgreSQL that it stands in for; "" = none
	about  string
	run    func(*program.Program) int

	formerly string // the name of that tool before PostgreSQL 10, if it had another
}

// statusNoCommand is the exit status without a command that there is, as a shell
// has it. A server takes a status of up to 125 of its restore_command for the
// end of the WAL: a misspelled command must not be that.
const statusNoCommand = 127

// dispatch finds the command: by the name under which the program was started,
// or else by the first argument.
func dispatch(p *program.Program) int {
	base := baseName(p.Argv0)
	for _, c := range commands {
		if base != "" && (base == c.dropIn || base == c.formerly) {
			p.Name, p.Call, p.DropIn = base, base, true
			return c.run(p)
		}
	}

	p.Name, p.Call = "pgbasin", "pgbasin"
	if len(p.Args) == 0 {
		p.Error("no command given")
		p.HintHelp()
		return statusNoCommand
	}
	name := p.Args[0]
	p.Args = p.Args[1:]
	switch name {
	case "help", "--help", "-?":
		return topHelp(p)
	case "version", "--version", "-V":
		return p.Answer(p.VersionLine())
	}
	for _, c := range commands {
		if name == c.name {
			p.Call += " " + c.name
			p.Argv0 = p.Name // complaints about options name the program
			return c.run(p)
		}
	}
	p.Error(fmt.Sprintf("unknown command \"%s\"", name))
	p.HintHelp()
	return statusNoCommand
}

// topHelp is "pgbasin help", also of one command.
func topHelp(p *program.Program) int {
	if len(p.Args) > 0 {
		for _, c := range commands {
			if p.Args[0] == c.name {
				p.Call, p.Args = p.Call+" "+c.name, []string{"--help"}
				return c.run(p)
			}
		}
		p.Error(fmt.Sprintf("unknown command \"%s\"", p.Args[0]))
		p.HintHelp()
		return 1
	}
	var b strings.Builder
	b.WriteString("pgbasin takes base backups of PostgreSQL servers, receives their WAL, and restores them.\n\nUsage:\n  pgbasin COMMAND [OPTION]...\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.about)
	}
	fmt.Fprintf(&b, "  %-10s show this help, or that of a command, then exit\n", "help")
	fmt.Fprintf(&b, "  %-10s output version information, then exit\n", "version")
	b.WriteString("\nStarted under one of these names, as a link for example, it is that tool:\n")
	for _, c := range commands {
		if c.dropIn == "" {
			continue
		}
		fmt.Fprintf(&b, "  %-16s with all of its options, as \"pgbasin %s\"\n", c.dropIn, c.name)
		if c.formerly != "" {
			fmt.Fprintf(&b, "  %-16s the same, as it was called before PostgreSQL 10\n", c.formerly)
		}
	}
	b.WriteString("\npgbasin home page: <" + program.Home + ">\n")
	return p.Answer(b.String())
}

// baseName is the name of a program without its directory and, as on Windows,
// without ".exe".
func baseName(path string) string {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	if len(name) > 4 && strings.EqualFold(name[len(name)-4:], ".exe") {
		name = name[:len(name)-4]
	}
	return name
}
