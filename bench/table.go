package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// line is one row of the printed table.
type line struct {
	name, what string
	spread     spread
	bar        float64
	most       bool
	verdict    string
	// aside holds absolute figures, for scale only.
	aside string
}

// Verdicts. A line without a bar has no verdict.
const (
	pass  = "pass"
	below = "BELOW"
)

// spread is the minimum, the median and the maximum of some values.
type spread struct{ least, median, greatest float64 }

// spreadOf requires at least one value.
func spreadOf(values []float64) spread {
	s := slices.Sorted(slices.Values(values))
	return spread{s[0], median(s), s[len(s)-1]}
}

// median returns the median of sorted values; of an even number of them, the
// mean of the middle two.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func (s spread) String() string {
	return fmt.Sprintf("%.2f\t%.2f\t%.2f", s.least, s.median, s.greatest)
}

// barText returns the bar that the median must meet.
func (l line) barText() string {
	if l.most {
		return fmt.Sprintf("<= %.2f", l.bar)
	}
	return fmt.Sprintf(">= %.2f", l.bar)
}

// printTable writes the lines; a line without a bar prints its figures in the last column.
func printTable(w io.Writer, lines []line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "row\twhat\tmin\tmedian\tmax\tbar\t\tfor scale")
	for _, l := range lines {
		if l.verdict == "" {
			fmt.Fprintf(t, "%s\t%s\t\t\t\t\tprinted\t%s\n", l.name, l.what, l.aside)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.name, l.what, l.spread, l.barText(), l.verdict, l.aside)
	}
	return t.Flush()
}
