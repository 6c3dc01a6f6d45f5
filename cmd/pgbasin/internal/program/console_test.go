package program

import (
	"strings"
	"testing"
)

func TestMessagesAreLaidOutAsPostgreSQLsToolsDo(t *testing.T) {
	var out strings.Builder
	p := &Program{Name: "pg_basebackup", Call: "pg_basebackup", Console: NewConsole(&out)}
	p.Error("first\nsecond\n")
	p.Detail("d")
	p.Hint("h")
	p.Warning("w")
	p.Info("i")
	p.HintHelp()
	p.Console.Line("WARNING:  verbatim \x1b[1m")
	want := `pg_basebackup: error: first
second
pg_basebackup: detail: d
pg_basebackup: hint: h
pg_basebackup: warning: w
pg_basebackup: i
pg_basebackup: hint: Try "pg_basebackup --help" for more information.
WARNING:  verbatim ` + "\x1b[1m\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestVersionLineNamesThePostgreSQLReleaseUnderADropInName(t *testing.T) {
	p := &Program{Name: "pg_basebackup", DropIn: true, Version: "v1.2"}
	if got, want := p.VersionLine(), "pg_basebackup (PostgreSQL) 18.4 (pgbasin v1.2)\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p = &Program{Name: "pgbasin", Version: "v1.2"}
	if got, want := p.VersionLine(), "pgbasin v1.2\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// screen shows what a terminal makes of carriage returns, backspaces and
// newlines.
func screen(s string) []string {
	var lines []string
	line, at := []byte{}, 0
	for i := range len(s) {
		switch s[i] {
		case '\r':
			at = 0
		case '\b':
			at--
		case '\n':
			lines, line, at = append(lines, strings.TrimRight(string(line), " ")), []byte{}, 0
		default:
			if at == len(line) {
				line = append(line, ' ')
			}
			line[at] = s[i]
			at++
		}
	}
	return append(lines, strings.TrimRight(string(line), " "))
}

func TestLinesStandAboveTheStatusLine(t *testing.T) {
	var out strings.Builder
	c := &Console{w: &out, fd: 1 << 20} // no file, so columns are the default
	check := func(want ...string) {
		t.Helper()
		if got := screen(out.String()); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("screen %q, want %q", got, want)
		}
	}
	c.Status(" 10%  a long file name")
	check(" 10%  a long file name")
	c.Line("WARNING:  short")
	check("WARNING:  short", " 10%  a long file name")
	c.Status(" 20%")
	check("WARNING:  short", " 20%")
	c.Line("with \x1b[31mcontrol\x07\u009b characters\tand a tab")
	check("WARNING:  short", "with ?[31mcontrol?? characters\tand a tab", " 20%")
	out.WriteString("^C")
	c.Status("")
	c.Line("end")
	check("WARNING:  short", "with ?[31mcontrol?? characters\tand a tab", "end", "")
	if c.Columns() != defaultColumns {
		t.Errorf("%d columns", c.Columns())
	}
}
