//go:build linux || darwin

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// measures are the lines of each row of the table.
var measures = []struct {
	name   string
	format string
	of     func(*measurement) float64
	goal   func(*goals) float64
}{
	{"wall, s", "%.2f", func(m *measurement) float64 { return m.wall.Seconds() }, func(g *goals) float64 { return g.wall }},
	{"user+sys, s", "%.2f", func(m *measurement) float64 { return m.cpu.Seconds() }, nil},
	{"peak memory, MiB", "%.1f", func(m *measurement) float64 { return mebibytes(m.memory) }, nil},
	{"output, MiB", "%.1f", func(m *measurement) float64 { return mebibytes(m.size) }, func(g *goals) float64 { return g.size }},
}

// printResults prints medians and the median, the lowest and the highest of
// the pairs' ratios.
func printResults(w io.Writer, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "work\t\tpgbasin\tpg_basebackup\tratio\tlowest\thighest\tgoal")
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
			fmt.Fprintf(t, "%s\t%s\t"+m.format+"\t"+m.format+"\t%.2f\t%.2f\t%.2f\t%s\n", name, m.name,
				median(ours), median(reference), ratio, slices.Min(ratios), slices.Max(ratios), goal)
			name = ""
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\npgbasin compares every file with the manifest as it arrives, and pg_basebackup does not.")
	return err
}

// judge is what stands in the column for the goal; 0 is none.
func judge(ratio, goal float64) string {
	switch {
	case goal == 0:
		return ""
	case ratio > goal:
		return fmt.Sprintf("<= %.2f  MISSED", goal)
	}
	return fmt.Sprintf("<= %.2f", goal)
}

// printPeaks prints the peak memory of peakRows; peaks has a list of them for
// each of the databases' sizes.
func printPeaks(w io.Writer, sizes []int64, peaks [][]int64) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "peak memory, MiB")
	for _, size := range sizes {
		fmt.Fprintf(t, "\tof %d MB", size/mb)
	}
	fmt.Fprintln(t, "\tgoal")
	for i := range peakRows {
		fmt.Fprint(t, peakRows[i].work)
		var highest int64
		for _, p := range peaks {
			fmt.Fprintf(t, "\t%.1f", mebibytes(p[i]))
			highest = max(highest, p[i])
		}
		goal := fmt.Sprintf("< %d", peakBound>>20)
		if highest >= peakBound {
			goal += "  MISSED"
		}
		fmt.Fprintf(t, "\t%s\n", goal)
	}
	return t.Flush()
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
