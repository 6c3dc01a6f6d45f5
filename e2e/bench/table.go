//go:build linux || darwin

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// measures are the lines of each row of the table.
var measures = []struct {
	name string
	of   func(*measurement) float64
	goal func(*goals) float64 // nil if no row has one
}{
	{"wall, s", func(m *measurement) float64 { return m.wall.Seconds() }, func(g *goals) float64 { return g.wall }},
	{"user+sys, s", func(m *measurement) float64 { return m.cpu.Seconds() }, nil},
	{"peak memory, MiB", func(m *measurement) float64 { return mebibytes(m.memory) }, nil},
	{"output, MiB", func(m *measurement) float64 { return mebibytes(m.size) }, func(g *goals) float64 { return g.size }},
}

// printResults prints medians and the median, the lowest and the highest of
// the pairs' ratios.
func printResults(w io.Writer, results []result) error {
	p := &printer{w: w}
	line := func(cells ...any) { p.line("%-21s %-18s %9s %15s %8s %8s %8s  %s", cells...) }
	line("work", "", "pgbasin", "reference", "ratio", "lowest", "highest", "goal")
	for i := range results {
		r := &results[i]
		name := r.row.work
		for _, m := range measures {
			ours, reference := values(r.ours, m.of), values(r.reference, m.of)
			if median(reference) == 0 {
				continue // there is no output
			}
			ratios := divide(ours, reference)
			ratio := median(ratios)
			goal := ""
			if m.goal != nil {
				goal = judge(ratio, m.goal(&r.row.goals))
			}
			line(name, m.name, number(median(ours)), number(median(reference)),
				number(ratio), number(slices.Min(ratios)), number(slices.Max(ratios)), goal)
			name = ""
		}
	}
	p.line("")
	p.line("pgbasin compares every file with the manifest as it arrives, and pg_basebackup does not.")
	return p.err
}

// missed marks a goal.
const missed = "  MISSED"

// judge is what stands in the column for the goal; 0 is none.
func judge(ratio, goal float64) string {
	switch {
	case goal == 0:
		return ""
	case ratio > goal:
		return fmt.Sprintf("<= %.2f", goal) + missed
	}
	return fmt.Sprintf("<= %.2f", goal)
}

// printPeaks prints the peak memory of rows, one after the other, with databases
// of two sizes.
func printPeaks(w io.Writer, rows []row, sizes [2]int64, peaks [2][]int64) error {
	p := &printer{w: w}
	head := fmt.Sprintf("%-38s", "peak memory, MiB, for a database of")
	for _, size := range sizes {
		head += fmt.Sprintf(" %9s", fmt.Sprintf("%d MB", size/mb))
	}
	p.line("%s  goal", head)
	for i := range rows {
		text := fmt.Sprintf("%-38s", rows[i].work)
		var highest int64
		for _, of := range peaks {
			text += fmt.Sprintf(" %9s", number(mebibytes(of[i])))
			highest = max(highest, of[i])
		}
		text += fmt.Sprintf("  < %d", peakBound>>20)
		if highest >= peakBound {
			text += missed
		}
		p.line("%s", text)
	}
	return p.err
}

// printer prints lines without blanks at their ends, until an error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, cells ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, cells...), " "))
	}
}

// number prints three digits, or all those before the point.
func number(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func values(list []measurement, of func(*measurement) float64) []float64 {
	v := make([]float64, len(list))
	for i := range list {
		v[i] = of(&list[i])
	}
	return v
}

// divide divides pair by pair.
func divide(a, b []float64) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	return q
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}
