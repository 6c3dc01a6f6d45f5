package progress

import (
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// What pg_basebackup 15 prints was taken from runs of it.
func TestLinesAreShapedLikeThoseOfPgBasebackup(t *testing.T) {
	const kB = 1024
	long := "/backup/base/16384/a_very_long_file_name_indeed_1234567890"
	for _, c := range []struct {
		verbose bool
		p       State
		want    string
	}{
		{false, State{Done: 1234 * kB, Total: 56789 * kB, Parts: 1}, " 1234/56789 kB (2%), 0/1 tablespace"},
		{false, State{Done: 56789 * kB, Total: 56789 * kB, Part: 1, Parts: 1}, "56789/56789 kB (100%), 1/1 tablespace"},
		{false, State{Done: 60000 * kB, Total: 56789 * kB, Part: 1, Parts: 2}, "60000/60000 kB (100%), 1/2 tablespaces"},
		{false, State{Done: 7*kB + 1023, Parts: 1}, "7/7 kB (0%), 0/1 tablespace"},
		{false, State{}, "0/0 kB (0%), 0/0 tablespaces"},
		{true, State{Done: 5 * kB, Total: 100 * kB, Parts: 1, File: "x/base.tar"}, "  5/100 kB (5%), 0/1 tablespace (x/base.tar                         )"},
		{true, State{Done: 5 * kB, Total: 100 * kB, Parts: 1, File: long}, "  5/100 kB (5%), 0/1 tablespace (...long_file_name_indeed_1234567890)"},
		{true, State{Done: 5 * kB, Total: 100 * kB, Parts: 2}, "  5/100 kB (100%), 0/2 tablespaces " + strings.Repeat(" ", 40)},
	} {
		l := &lines{verbose: c.verbose}
		if got := l.format(c.p); got != c.want {
			t.Errorf("%+v:\n%q, want\n%q", c.p, got, c.want)
		}
	}
}

func TestLinesComeOnceASecondAndAtMilestones(t *testing.T) {
	var out strings.Builder
	r := New(program.NewConsole(&out), false)
	r.Checkpoint()
	p := State{Total: 10 << 20, Parts: 1}
	for range 100000 {
		p.Done++
		r.Update(p)
	}
	if n := strings.Count(out.String(), "\n"); n < 2 || n > 4 {
		t.Errorf("%d lines: %q", n, out.String())
	}
	before := strings.Count(out.String(), "\n")
	p.Milestone = true
	r.Update(p)
	r.Update(p)
	p.Part = 1
	r.Update(p) // nothing new: the last one says the same
	p.Finished = true
	r.Update(p)
	r.Close(true)
	if n := strings.Count(out.String(), "\n"); n != before+3 {
		t.Errorf("%d lines more at milestones", n-before)
	}
	if !strings.HasPrefix(out.String(), "waiting for checkpoint\n    0/10240 kB (0%), 0/1 tablespace\n") {
		t.Errorf("%q", out.String())
	}
}

func TestDataBetweenTheServersReportsMakesNoLine(t *testing.T) {
	var out strings.Builder
	l := &lines{console: program.NewConsole(&out)}
	p := State{Total: 10 << 20, Parts: 1}
	l.Update(p)
	p.Done, p.Milestone = 1<<20, true
	l.Update(p)
	l.last, p.Milestone = 0, false // a second later
	l.Update(p)
	if got, want := out.String(), " 1024/10240 kB (10%), 0/1 tablespace\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUpdateBetweenLinesDoesNotAllocate(t *testing.T) {
	p := State{Total: 10 << 20, Parts: 1, File: "base/1/1"}
	var out strings.Builder
	l := &lines{console: program.NewConsole(&out)}
	d := &display{}
	d.Update(p)
	if n := testing.AllocsPerRun(1000, func() { l.last = 1 << 62; d.Update(p) }); n != 0 {
		t.Errorf("display: %v allocations", n)
	}
	l.Update(p)
	if n := testing.AllocsPerRun(2000, func() { l.Update(p) }); n > 1 {
		t.Errorf("lines: %v allocations", n)
	}
}
