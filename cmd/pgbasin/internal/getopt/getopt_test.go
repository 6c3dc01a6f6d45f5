package getopt

import (
	"errors"
	"slices"
	"testing"
)

func parse(args ...string) (seen, operands []string, err error) {
	note := func(name string) func(string) error {
		return func(v string) error {
			seen = append(seen, name+"="+v)
			if v == "bad" {
				return errBad
			}
			return nil
		}
	}
	operands, err = Parse([]Option{
		{Long: "help", Set: note("help")},
		{Long: "pgdata", Short: 'D', Arg: true, Set: note("D")},
		{Long: "gzip", Short: 'z', Set: note("z")},
		{Long: "target", Short: 't', Arg: true, Set: note("t")},
		{Long: "host", Short: 'h', Arg: true, Set: note("h")},
		{Long: "no-sync", Short: 'N', Set: note("N")},
		{Long: "no-slot", Set: note("no-slot")},
		{Long: "slot", Arg: true, Set: note("slot")},
		{Long: "slots", Set: note("slots")},
		{Long: "no-verify-checksums", Set: note("no-verify-checksums")},
		{Long: "no-verify", NoAbbrev: true, Set: note("no-verify")},
		{Long: "json", NoAbbrev: true, Set: note("json")},
		{Short: 'x', Set: note("x")},
	}, args)
	return seen, operands, err
}

var errBad = errors.New("bad value")

func TestOptionsAreTakenAsGetoptTakesThem(t *testing.T) {
	for _, c := range []struct {
		args, seen, operands []string
	}{
		{[]string{"-Dx"}, []string{"D=x"}, nil},
		{[]string{"-D", "x"}, []string{"D=x"}, nil},
		{[]string{"-D=x"}, []string{"D==x"}, nil},
		{[]string{"-zDx=y"}, []string{"z=", "D=x=y"}, nil},
		{[]string{"-zN"}, []string{"z=", "N="}, nil},
		{[]string{"-zD", "-N"}, []string{"z=", "D=-N"}, nil},
		{[]string{"-D", "--"}, []string{"D=--"}, nil},
		{[]string{"-D", ""}, []string{"D="}, nil},
		{[]string{"-D", "-"}, []string{"D=-"}, nil},
		{[]string{"-test.v"}, []string{"t=est.v"}, nil},
		{[]string{"-x"}, []string{"x="}, nil},
		{[]string{"--pgdata=x"}, []string{"D=x"}, nil},
		{[]string{"--pgdata", "x"}, []string{"D=x"}, nil},
		{[]string{"--pgdata", "-F=t"}, []string{"D=-F=t"}, nil},
		{[]string{"--pg", "-F=t"}, []string{"D=-F=t"}, nil},
		{[]string{"--pgdata="}, []string{"D="}, nil},
		{[]string{"--pgdata=a=b"}, []string{"D=a=b"}, nil},
		{[]string{"--pg=x", "--gz"}, []string{"D=x", "z="}, nil},
		{[]string{"--slot", "x", "--slots"}, []string{"slot=x", "slots="}, nil},
		{[]string{"a", "-z", "b", "--no-sy", "-"}, []string{"z=", "N="}, []string{"a", "b", "-"}},
		{[]string{"-z", "--", "-N", "--foo"}, []string{"z="}, []string{"-N", "--foo"}},
		{[]string{"-D", "x", "-z=", "y"}, nil, nil},
		{[]string{"--json"}, []string{"json="}, nil},
		{[]string{"--no-v"}, []string{"no-verify-checksums="}, nil},
		{[]string{"--no-verify"}, []string{"no-verify-checksums="}, nil},
		{[]string{""}, nil, []string{""}},
		{nil, nil, nil},
	} {
		seen, operands, err := parse(c.args...)
		if c.args != nil && slices.Contains(c.args, "-z=") {
			if err == nil {
				t.Errorf("%q: no error", c.args)
			}
			continue
		}
		if err != nil || !slices.Equal(seen, c.seen) || !slices.Equal(operands, c.operands) {
			t.Errorf("%q: options %q, operands %q, %v; want %q, %q", c.args, seen, operands, err, c.seen, c.operands)
		}
	}
}

func TestComplaintsAreGetopts(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-k"}, "invalid option -- 'k'"},
		{[]string{"-zk"}, "invalid option -- 'k'"},
		{[]string{"-?"}, "invalid option -- '?'"},
		{[]string{"-z=3"}, "invalid option -- '='"},
		{[]string{"-z-"}, "invalid option -- '-'"},
		{[]string{"-z-D"}, "invalid option -- '-'"},
		{[]string{"-\xc3\xb6"}, "invalid option -- '\xc3'"},
		{[]string{"-D"}, "option requires an argument -- 'D'"},
		{[]string{"-zD"}, "option requires an argument -- 'D'"},
		{[]string{"--pgdata"}, "option '--pgdata' requires an argument"},
		{[]string{"--pg"}, "option '--pgdata' requires an argument"},
		{[]string{"--gzip=3"}, "option '--gzip' doesn't allow an argument"},
		{[]string{"--gzip="}, "option '--gzip' doesn't allow an argument"},
		{[]string{"--gz=true"}, "option '--gzip' doesn't allow an argument"},
		{[]string{"--foo"}, "unrecognized option '--foo'"},
		{[]string{"--foo=bar"}, "unrecognized option '--foo=bar'"},
		{[]string{"-D", "--foo=1", "--foo=2"}, "unrecognized option '--foo=2'"},
		{[]string{"---foo"}, "unrecognized option '---foo'"},
		{[]string{"--js"}, "unrecognized option '--js'"},
		{[]string{"--no-s"}, "option '--no-s' is ambiguous; possibilities: '--no-sync' '--no-slot'"},
		{[]string{"--no-s=1"}, "option '--no-s=1' is ambiguous; possibilities: '--no-sync' '--no-slot'"},
		{[]string{"--slo"}, "option '--slo' is ambiguous; possibilities: '--slot' '--slots'"},
		{[]string{"--=x"}, "option '--=x' is ambiguous; possibilities: '--help' '--pgdata' '--gzip' '--target' '--host' '--no-sync' '--no-slot' '--slot' '--slots' '--no-verify-checksums'"},
	} {
		_, _, err := parse(c.args...)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Text != c.want {
			t.Errorf("%q: %v; want %s", c.args, err, c.want)
		}
	}
}

func TestUndefinedHelpOptionsAreUnknown(t *testing.T) {
	none := func(string) error { return nil }
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-h"}, "invalid option -- 'h'"},
		{[]string{"--help"}, "unrecognized option '--help'"},
		{[]string{"--help=1"}, "unrecognized option '--help=1'"},
		{[]string{"-test.v"}, "invalid option -- 't'"},
	} {
		_, err := Parse([]Option{{Long: "gzip", Short: 'z', Set: none}}, c.args)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: %v; want %s", c.args, err, c.want)
		}
	}
}

func TestErrorOfSetEndsTheParsing(t *testing.T) {
	seen, _, err := parse("-z", "-D", "bad", "-N", "-k")
	if err != errBad || !slices.Equal(seen, []string{"z=", "D=bad"}) {
		t.Errorf("%q, %v", seen, err)
	}
}

// FuzzParse holds that every value and operand is an argument or part of one,
// and that arguments without a leading dash come through.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"-D\nx", "--pg=x\n--\n-z", "-zDx\n--no-s", "-z-\n-", "--=\n---", "-test.v\n-D\n--", "--no-verify\n--slot\n--slots"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var args []string
		for start, i := 0, 0; i <= len(line); i++ {
			if i == len(line) || line[i] == '\n' {
				args = append(args, line[start:i])
				start = i + 1
			}
		}
		if slices.ContainsFunc(args, func(a string) bool { return slices.Contains([]byte(a), 0) }) {
			return // no argument can hold one
		}
		_, operands, err := parse(args...)
		for _, o := range operands {
			if !slices.Contains(args, o) {
				t.Errorf("%q: operand %q", args, o)
			}
		}
		var syntax *SyntaxError
		if err != nil && err != errBad && !errors.As(err, &syntax) {
			t.Errorf("%q: %T %v", args, err, err)
		}
	})
}
