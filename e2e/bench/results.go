//go:build linux || darwin

package main

import (
	"fmt"
	"slices"
)

// measure is a line of a row's results.
type measure struct {
	name   string
	of     func(*measurement) float64
	goal   float64 // of the ratio; 0 is none
	least  bool    // the goal is a lower bound
	memory bool    // the goal is peakBound, of pgbasin's highest
}

// measuresOf are the lines of a row. What the row is about comes first.
func measuresOf(r *row) []measure {
	first := measure{name: "wall, s", of: func(m *measurement) float64 { return m.wall.Seconds() }, goal: r.goals.wall}
	if r.rate != "" {
		first = measure{name: r.rate, of: func(m *measurement) float64 { return m.rate }, goal: r.goals.rate, least: true}
	}
	return []measure{
		first,
		{name: "user+sys, s", of: func(m *measurement) float64 { return m.cpu.Seconds() }, goal: r.goals.cpu},
		{name: "peak memory, MiB", of: func(m *measurement) float64 { return mebibytes(m.memory) }, memory: true},
		{name: "output, MiB", of: func(m *measurement) float64 { return mebibytes(m.size) }, goal: r.goals.size},
	}
}

// judge is what stands in the column for the goal.
func (m *measure) judge(ratio float64, ours []float64) string {
	goal, missed := "", false
	switch {
	case m.memory:
		goal, missed = fmt.Sprintf("<= %d MiB", peakBound>>20), slices.Max(ours) > mebibytes(peakBound)
	case m.goal == 0:
		return ""
	case m.least:
		goal, missed = fmt.Sprintf(">= %.2f", m.goal), ratio < m.goal
	default:
		goal, missed = fmt.Sprintf("<= %.2f", m.goal), ratio > m.goal
	}
	if missed {
		goal += missedMark
	}
	return goal
}

const missedMark = " **MISSED**"

// resultTable has medians of both sides, and the median, the lowest and the highest
// of the pairs' ratios.
func resultTable(results []result) *table {
	t := &table{head: []column{
		{"work", false}, {"measure", false}, {"pgbasin", true}, {"reference", true},
		{"ratio", true}, {"lowest", true}, {"highest", true}, {"goal", false},
	}}
	for i := range results {
		res := &results[i]
		// The first lines have these in front of them; there are three at least.
		about := []string{res.row.work, "against " + res.row.reference, res.input}
		for n, m := range measuresOf(res.row) {
			name := ""
			if n < len(about) {
				name = about[n]
			}
			ours, reference := values(res.ours, m.of), values(res.reference, m.of)
			if n >= len(about) && median(reference) == 0 {
				continue // there is no output
			}
			ratios := divide(ours, reference)
			ratio := median(ratios)
			t.add(name, m.name, number(median(ours)), number(median(reference)),
				number(ratio), number(slices.Min(ratios)), number(slices.Max(ratios)), m.judge(ratio, ours))
		}
	}
	return t
}

// peakTable has pgbasin's peak memory with databases of so many bytes.
func peakTable(peaks []peak, sizes ...int64) *table {
	t := &table{head: []column{{"peak memory, MiB", false}}}
	for _, size := range sizes {
		t.head = append(t.head, column{fmt.Sprintf("%d MiB", size/mb), true})
	}
	t.head = append(t.head, column{"goal", false})
	m := measure{memory: true}
	for i := range peaks {
		cells := []string{peaks[i].row.work}
		var all []float64
		for _, bytes := range peaks[i].highest {
			all = append(all, mebibytes(bytes))
			cells = append(cells, number(mebibytes(bytes)))
		}
		t.add(append(cells, m.judge(0, all))...)
	}
	return t
}

func limitTable(limits []limit) *table {
	t := &table{head: []column{{"limit", false}, {"figure", true}, {"unit", false}, {"remark", false}}}
	for _, l := range limits {
		t.add(l.of, number(l.value), l.unit, l.remark)
	}
	return t
}
