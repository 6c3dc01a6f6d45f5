// Package usage refuses command lines in the words of PostgreSQL's tools.
package usage

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// Error is a refusal of what the command line says.
type Error struct {
	Text string // "" = the pointer to --help alone
	Hint string // what to do instead
	Help bool   // adds the pointer to --help
}

func (e *Error) Error() string { return e.Text }

// Refuse makes an Error.
func Refuse(format string, args ...any) error { return &Error{Text: fmt.Sprintf(format, args...)} }

// RefuseWithHelp makes one that points to --help.
func RefuseWithHelp(format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...), Help: true}
}

// Print says what is wrong with a command line: an *Error, a
// *getopt.SyntaxError, or any other.
func Print(p *program.Program, err error) {
	var syntax *getopt.SyntaxError
	var refused *Error
	help := false
	switch {
	case errors.As(err, &syntax):
		p.Complain(syntax.Text)
		help = true
	case errors.As(err, &refused):
		if refused.Text != "" {
			p.Error(refused.Text)
		}
		if refused.Hint != "" {
			p.Hint(refused.Hint)
		}
		help = refused.Help
	default:
		p.Error(err.Error())
	}
	if help {
		p.HintHelp()
	}
}

// Optional is a value that may be empty and given all the same.
type Optional struct {
	Text  string
	Given bool
}

// Set fits getopt.Option.
func (o *Optional) Set(text string) error {
	o.Text, o.Given = text, true
	return nil
}

const whiteSpace = " \t\n\v\f\r"

// ParseInt reads a number as option_parse_int does (fe_utils/option_utils.c):
// blanks around it are fine, and nothing at all is 0, as for strtol(3).
func ParseInt(s, option string, low, high int) (int, error) {
	trimmed := strings.Trim(s, whiteSpace)
	digits := strings.TrimPrefix(strings.TrimPrefix(trimmed, "-"), "+")
	if len(trimmed)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" || digits == "" && trimmed != "" {
		return 0, Refuse("invalid value \"%s\" for option %s", s, option)
	}
	if trimmed == "" {
		trimmed = "0"
	}
	n, err := strconv.Atoi(trimmed)
	if err != nil || n < low || n > high {
		return 0, Refuse("%s must be in range %d..%d", option, low, high)
	}
	return n, nil
}
