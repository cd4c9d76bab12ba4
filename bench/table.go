package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// line is one row of the table that is printed.
type line struct {
	name, what string
	spread     spread
	bar        float64
	most       bool
	verdict    string
	// aside are absolute figures, for scale only.
	aside string
}

// Verdicts. A line without a bar has none.
const (
	pass  = "pass"
	below = "BELOW"
)

// spread is the least, the middle and the greatest of some values.
type spread struct{ least, median, greatest float64 }

// spreadOf takes at least one value.
func spreadOf(values []float64) spread {
	s := slices.Sorted(slices.Values(values))
	return spread{s[0], median(s), s[len(s)-1]}
}

// median of sorted values; of an even number of them the mean of the middle
// two.
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

// barText is what the median must reach.
func (l line) barText() string {
	if l.most {
		return fmt.Sprintf("<= %.2f", l.bar)
	}
	return fmt.Sprintf(">= %.2f", l.bar)
}

// printTable writes the lines; those without a bar carry their figures aside.
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
