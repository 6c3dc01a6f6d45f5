//go:build linux || darwin

package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table is written in Markdown, in columns that are aligned for those who read it
// as it is.
type table struct {
	head []column
	rows [][]string
}

type column struct {
	title string
	right bool // aligned: a number
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	titles, widths := make([]string, len(t.head)), make([]int, len(t.head))
	for i, c := range t.head {
		titles[i], widths[i] = c.title, max(3, len(c.title))
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			if t.head[i].right {
				fmt.Fprintf(&b, "| %*s ", widths[i], cell)
			} else {
				fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
			}
		}
		b.WriteString("|\n")
	}
	line(titles)
	for i, c := range t.head {
		rule := strings.Repeat("-", widths[i]+2)
		if c.right {
			rule = rule[1:] + ":"
		}
		b.WriteString("|" + rule)
	}
	b.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
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
