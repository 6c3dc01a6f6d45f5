//go:build linux || darwin

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBenchMeasuresEveryRowAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	pgbasin := filepath.Join(t.TempDir(), "pgbasin")
	build := exec.Command("go", "build", "-o", pgbasin, "github.com/pgbasin/pgbasin/cmd/pgbasin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := &options{pgbasin: pgbasin, dir: dir, size: 4 * mb, small: 2 * mb, pairs: 1, rows: regexp.MustCompile("")}
	var out, log strings.Builder
	if err := run(t.Context(), o, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, r := range slices.Concat(rows, peakRows) {
		if !strings.Contains(out.String(), "\n"+r.work+" ") {
			t.Errorf("no line for %s", r.work)
		}
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

func TestBenchRefusesWithoutReference(t *testing.T) {
	t.Setenv("PGBASIN_PG_15", t.TempDir())
	o := &options{pgbasin: os.Args[0], dir: t.TempDir(), rows: regexp.MustCompile("")}
	err := run(t.Context(), o, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "install PostgreSQL 15") {
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
	r := result{row: &row{work: "work", goals: goals{wall: 0.4}}, ours: runs(1, 2, 9), reference: runs(2, 8, 12)}
	var out strings.Builder
	if err := printResults(&out, []result{r}); err != nil {
		t.Fatal(err)
	}
	line := strings.Split(out.String(), "\n")[1]
	if got, want := strings.Join(strings.Fields(line), " "), "work wall, s 2.00 8.00 0.50 0.25 0.75 <= 0.40 MISSED"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if strings.Contains(out.String(), "output") {
		t.Error("a size is printed for what had no output")
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
