//go:build linux || darwin

package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/e2e/harness"
)

// program is pgbasin.
var program string

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, false, func(dir string) error {
		program = filepath.Join(dir, "pgbasin")
		return nil
	}))
}

func TestBenchMeasuresEveryRowAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	o := &options{
		pgbasin: program, dir: dir, output: filepath.Join(t.TempDir(), "document"),
		size: 4 * mb, small: 2 * mb, top: 4 * mb, files: 30, pairs: 1, seconds: 1, rows: regexp.MustCompile(""),
	}
	var out, log strings.Builder
	if err := run(t.Context(), o, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, st := range stages {
		for _, r := range slices.Concat(st.rows, st.peaks) {
			if len(regexp.MustCompile(`(?m)^\| `+regexp.QuoteMeta(r.work)+` +\|`).FindAllString(out.String(), -1)) != 1 {
				t.Errorf("no line, or several, for %s", r.work)
			}
		}
	}
	if !strings.Contains(out.String(), "\n| walsender alone") {
		t.Error("no limits")
	}
	if document, err := os.ReadFile(o.output); err != nil || string(document) != out.String() {
		t.Errorf("the file is not what was printed: %v", err)
	}
	for _, bad := range []string{"NaN", "Inf", " 0.00 "} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("something was not measured: %s", bad)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPeakMemoryIsMeasuredWithTheLargeDatabase(t *testing.T) {
	o := &options{
		pgbasin: program, dir: t.TempDir(),
		size: 3 * mb, small: 2 * mb, top: 4 * mb, files: 30, pairs: 1, seconds: 1, rows: regexp.MustCompile("peak memory, backup -Ft"),
	}
	var out, log strings.Builder
	if err := run(t.Context(), o, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if !regexp.MustCompile(`(?m)^\| peak memory, MiB +\| 2 MiB \| 4 MiB \| goal +\|$`).MatchString(out.String()) {
		t.Errorf("got\n%s", out.String())
	}
	if n := strings.Count(log.String(), "making the server"); n != 2 {
		t.Errorf("%d servers for two sizes", n)
	}
}

func TestBenchRefusesWithoutReference(t *testing.T) {
	t.Setenv("PGBASIN_PG_15", t.TempDir())
	o := &options{pgbasin: os.Args[0], dir: t.TempDir(), rows: regexp.MustCompile("")}
	err := run(t.Context(), o, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "PGBASIN_PG_15 where they are") {
		t.Errorf("got %v", err)
	}
}

func TestRatiosAreOfPairs(t *testing.T) {
	runs := func(seconds ...float64) []measurement {
		var m []measurement
		for _, s := range seconds {
			m = append(m, measurement{wall: time.Duration(s * float64(time.Second)), cpu: time.Second, memory: 1 << 20})
		}
		return m
	}
	// The machine became slower, in the middle of a pair, too: the ratio of the medians would be 0.25.
	r := result{row: &row{work: "work", reference: "cp", goals: goals{wall: 0.4}}, input: "of a file", ours: runs(1, 2, 9), reference: runs(2, 8, 12)}
	lines := strings.Split(resultTable([]result{r}).String(), "\n")
	for i, want := range []string{
		"| work | wall, s | 2.00 | 8.00 | 0.50 | 0.25 | 0.75 | <= 0.40 **MISSED** |",
		"| against cp | user+sys, s | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | |",
		"| of a file | peak memory, MiB | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | <= 64 MiB |",
		"", // no size of an output that there is not
	} {
		if got := strings.Join(strings.Fields(lines[2+i]), " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestGoalsAreUpperBoundsExceptOfRates(t *testing.T) {
	highest := []float64{1, 65}
	for _, test := range []struct {
		m     measure
		ratio float64
		want  string
	}{
		{measure{goal: 0.5}, 0.5, "<= 0.50"},
		{measure{goal: 0.5}, 0.501, "<= 0.50 **MISSED**"},
		{measure{goal: 1.1, least: true}, 1.1, ">= 1.10"},
		{measure{goal: 1.1, least: true}, 1.09, ">= 1.10 **MISSED**"},
		{measure{memory: true}, 0.1, "<= 64 MiB **MISSED**"},
		{measure{}, 9, ""},
	} {
		if got := test.m.judge(test.ratio, highest); got != test.want {
			t.Errorf("%+v, %v: got %q, want %q", test.m, test.ratio, got, test.want)
		}
	}
}

func TestQuickLeavesWhatIsGiven(t *testing.T) {
	o, err := parse([]string{"-quick", "-pairs", "7"})
	if err != nil {
		t.Fatal(err)
	}
	if o.pairs != 7 || o.size != 64*mb || o.files != 2000 {
		t.Errorf("got %+v", o)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 9}, 3},
	} {
		if got := median(test.of); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.of, got, test.want)
		}
	}
}
