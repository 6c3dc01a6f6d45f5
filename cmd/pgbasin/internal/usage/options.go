package usage

import (
	"context"
	"errors"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// ErrHelp and ErrVersion end the parsing of a command line that asks for one of
// these.
var (
	ErrHelp    = errors.New("help is wanted")
	ErrVersion = errors.New("the version is wanted")
)

// HelpAndVersion are the options that every command has under pgbasin's own name.
func HelpAndVersion() []getopt.Option {
	return []getopt.Option{
		{Long: "help", Short: '?', Set: Fail(ErrHelp)},
		{Long: "version", Short: 'V', Set: Fail(ErrVersion)},
	}
}

// AskedFirst is ErrHelp or ErrVersion if the command line begins with asking for
// one of these, which is where PostgreSQL's tools look for them alone.
func AskedFirst(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "--help", "-?":
			return ErrHelp
		case "--version", "-V":
			return ErrVersion
		}
	}
	return nil
}

// Fail is for an option that ends the parsing with err.
func Fail(err error) func(string) error { return func(string) error { return err } }

// Flag is for an option without a value that sets b.
func Flag(b *bool) func(string) error {
	return func(string) error { *b = true; return nil }
}

// Text is for an option whose value is kept as it is.
func Text(s *string) func(string) error {
	return func(v string) error { *s = v; return nil }
}

// NotEmpty is Text for the option --name that needs a value which is not empty.
func NotEmpty(name string, s *string) func(string) error {
	return func(v string) error {
		if v == "" {
			return RefuseWithHelp("no value for option --%s", name)
		}
		*s = v
		return nil
	}
}

// Answered looks at what came of parsing a command line. If there is nothing for
// the command to do, because help or the version was asked for or the command
// line is wrong, it has printed that and returns the exit status, which is wrong
// for the latter.
func Answered(p *program.Program, err error, help func(*program.Program) string, wrong int) (status int, done bool) {
	switch err {
	case nil:
		return 0, false
	case ErrHelp:
		return p.Answer(help(p)), true
	case ErrVersion:
		return p.Answer(p.VersionLine()), true
	}
	Print(p, err)
	return wrong, true
}

// Context is the command's: it ends when the user wants that. If the user
// insists, the process ends after a call of abandon. stop must be called.
func Context(p *program.Program, abandon func()) (ctx context.Context, stop func()) {
	if p.Interrupts == nil {
		return context.Background(), func() {}
	}
	return p.Interrupts(context.Background(), abandon)
}
