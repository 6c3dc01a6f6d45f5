// Package getopt parses command lines with pflag under the rules of the GNU C
// library's getopt_long, which PostgreSQL's tools use: abbreviated long
// options, combined short ones, options after operands, and its complaints.
package getopt

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Option is one option, under a long name, a short one, or both.
type Option struct {
	Long  string
	Short byte // 0 = none
	Arg   bool // takes a value
	// NoAbbrev keeps the option out of the way of abbreviations: it is meant by
	// its whole name alone, if that is not the beginning of another's, and
	// makes no abbreviation ambiguous.
	NoAbbrev bool
	// Set is called when the option is met, with "" if it takes no value. Its
	// error ends the parsing.
	Set func(value string) error
}

// SyntaxError is a complaint of getopt_long. Its text follows the name under
// which the program was called, and a colon.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

// Parse calls the Set functions of the options in args, in order, and returns
// what is not an option. The error is a *SyntaxError or what a Set returned.
func Parse(options []Option, args []string) (operands []string, err error) {
	p := &parser{options: options}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for i := range options {
		o := &options[i]
		name, short := o.Long, ""
		if o.Short != 0 {
			short = string(rune(o.Short))
		}
		if name == "" {
			// pflag wants every flag to have a name; nobody can type this one.
			name = "\x00" + short
		}
		if p.complete(name) != name {
			continue // another option's beginning, with NoAbbrev: never meant
		}
		f := fs.VarPF(value{o}, name, short, "")
		if !o.Arg {
			f.NoOptDefVal = noValue
		}
	}
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(p.complete(name))
	})
	err = fs.ParseAll(p.spread(args), func(f *pflag.Flag, s string) error {
		o := f.Value.(value).o
		if o.Arg {
			return o.Set(s)
		}
		if s != noValue {
			return complain("option '--%s' doesn't allow an argument", o.Long)
		}
		return o.Set("")
	})
	if err != nil {
		return nil, p.explain(err)
	}
	return fs.Args(), nil
}

// noValue stands for a value that was not given; it cannot occur in an
// argument.
const noValue = "\x00"

// value ties a pflag.Flag to its Option.
type value struct{ o *Option }

func (value) Set(string) error { return nil }
func (value) String() string   { return "" }
func (value) Type() string     { return "" }

func complain(format string, args ...any) error {
	return &SyntaxError{fmt.Sprintf(format, args...)}
}

// explain says in getopt_long's words what pflag found, and leaves other
// errors as they are.
func (p *parser) explain(err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &missing):
		if missing.GetSpecifiedShortnames() != "" {
			return complain("option requires an argument -- '%s'", missing.GetSpecifiedName())
		}
		return complain("option '--%s' requires an argument", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		if unknown.GetSpecifiedShortnames() != "" {
			// getopt goes by bytes and names the first of an unknown character.
			return complain("invalid option -- '%s'", unknown.GetSpecifiedShortnames()[:1])
		}
		return p.unknownLong(unknown.GetSpecifiedName())
	case errors.As(err, &syntax):
		return p.unknownLong(strings.TrimPrefix(syntax.GetSpecifiedFlag(), "--"))
	case errors.Is(err, pflag.ErrHelp):
		// pflag's own idea of what an undefined -h or --help should do.
		if p.byLetter('h') == nil && !slices.ContainsFunc(p.long, isHelp) {
			return complain("invalid option -- 'h'")
		}
		return p.unknownLong("help")
	}
	return err
}

func isHelp(arg string) bool { return arg == "--help" || strings.HasPrefix(arg, "--help=") }

// unknownLong is for a long option that is none or could be several, written
// as in the arguments, with its value if it has one.
func (p *parser) unknownLong(name string) error {
	name, _, _ = strings.Cut(name, "=")
	written := "--" + name
	for _, arg := range p.long {
		if arg == written || strings.HasPrefix(arg, written+"=") {
			written = arg
			break
		}
	}
	meant := p.meant(name)
	if len(meant) < 2 {
		return complain("unrecognized option '%s'", written)
	}
	var b strings.Builder
	for _, m := range meant {
		fmt.Fprintf(&b, " '--%s'", m)
	}
	return complain("option '%s' is ambiguous; possibilities:%s", written, b.String())
}

// meant are the options that name can stand for.
func (p *parser) meant(name string) []string {
	var names []string
	for i := range p.options {
		o := &p.options[i]
		switch {
		case o.Long == "" || o.NoAbbrev:
		case o.Long == name:
			return []string{name}
		case strings.HasPrefix(o.Long, name):
			names = append(names, o.Long)
		}
	}
	if len(names) == 0 && p.byName(name) != nil {
		return []string{name}
	}
	return names
}

// complete replaces the beginning of a long option's name with the whole name
// if it can mean but one.
func (p *parser) complete(name string) string {
	if meant := p.meant(name); len(meant) == 1 {
		return meant[0]
	}
	return name
}
