package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// side is one of the two measurements that form a ratio.
type side struct {
	name string
	run  func(ctx context.Context, shop *workshop) (figure, error)
}

// figure is the result of one run of a side.
type figure struct {
	// value is in the unit of the group: a rate, or a time.
	value float64
	// behind is how long after the end of the load the picture was complete, on
	// sides that have a picture.
	behind time.Duration
	// cpu is the user and system time of the measured process per callback; zero if not measured.
	cpu time.Duration
}

// ratio is one row of the table: one side over another, both measured in the same round.
type ratio struct {
	name, what string
	side, over string
	bar        float64
	// against is the bar of a comparison of two builds, if it is not "unchanged".
	against float64
	// most is set if the bar is a maximum, because the sides are times.
	most bool
	// behind limits the figure of that name; zero means no limit.
	behind time.Duration
}

// group is a set of sides that are measured in turn, and the ratios between them.
type group struct {
	unit    string
	prepare func(ctx context.Context, shop *workshop) error
	sides   []side
	ratios  []ratio
}

// rows returns the names of the group's ratios.
func (g *group) rows() (names []string) {
	for _, r := range g.ratios {
		names = append(names, r.name)
	}
	return names
}

// keep keeps only the selected ratios and the sides they need.
func (g *group) keep(wanted func(name string) bool) {
	needed := make(map[string]bool)
	g.ratios = slices.DeleteFunc(g.ratios, func(r ratio) bool {
		if !wanted(r.name) {
			return true
		}
		needed[r.side], needed[r.over] = true, true
		return false
	})
	g.sides = slices.DeleteFunc(g.sides, func(s side) bool { return !needed[s.name] })
}

// measure runs all sides once per round, forward in even rounds and backward in
// odd ones: the speed of the machine drifts over minutes, so a side that always
// ran second would in effect run on a different machine.
func (g *group) measure(ctx context.Context, shop *workshop, progress io.Writer) ([]line, error) {
	if err := g.prepare(ctx, shop); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	figures := make(map[string][]figure)
	for round := range shop.rounds {
		for _, s := range inTurn(g.sides, round) {
			f, err := s.run(ctx, shop)
			if err != nil {
				return nil, fmt.Errorf("round %d, %s: %w", round+1, s.name, err)
			}
			figures[s.name] = append(figures[s.name], f)
			fmt.Fprintf(progress, "round %d/%d  %-16s %s\n", round+1, shop.rounds, s.name, g.amount(f.value))
		}
	}
	var lines []line
	for _, r := range g.ratios {
		lines = append(lines, r.line(g, figures[r.side], figures[r.over]))
	}
	return lines, nil
}

func inTurn[T any](sides []T, round int) []T {
	sides = slices.Clone(sides)
	if round%2 == 1 {
		slices.Reverse(sides)
	}
	return sides
}

// amount formats a value with the group's unit.
func (g *group) amount(value float64) string {
	if g.unit == perSecond {
		return fmt.Sprintf("%.0f%s", value, g.unit)
	}
	return fmt.Sprintf("%.2f%s", value, g.unit)
}

// Units of figures.
const (
	perSecond = "/s"
	seconds   = " s"
	megabytes = " MB"
)

// line summarizes a ratio over all rounds.
func (r ratio) line(g *group, side, over []figure) line {
	ratios := make([]float64, len(side))
	for i := range side {
		ratios[i] = side[i].value / over[i].value
	}
	spread := spreadOf(ratios)
	l := line{name: r.name, what: r.what, bar: r.bar, most: r.most, spread: spread, verdict: pass}
	if r.misses(spread.median) {
		l.verdict = below
	}
	l.aside = fmt.Sprintf("%s over %s", g.amount(medianValue(side)), g.amount(medianValue(over)))
	if r.behind > 0 {
		late := behindOf(side)
		l.aside += fmt.Sprintf("; last one visible %.2f/%.2f/%.2f s after the load", late.least, late.median, late.greatest)
		if late.median > r.behind.Seconds() {
			l.verdict = below
		}
	}
	if cpu := medianCPU(side); cpu > 0 {
		l.aside += fmt.Sprintf("; CPU %s per callback", microseconds(cpu))
	}
	return l
}

// misses reports whether a median is on the wrong side of the bar.
func (r ratio) misses(median float64) bool {
	if r.most {
		return median > r.bar
	}
	return median < r.bar
}

func medianValue(figures []figure) float64 {
	values := make([]float64, len(figures))
	for i, f := range figures {
		values[i] = f.value
	}
	return spreadOf(values).median
}

// medianCPU is in microseconds.
func medianCPU(figures []figure) float64 {
	values := make([]float64, len(figures))
	for i, f := range figures {
		values[i] = float64(f.cpu) / float64(time.Microsecond)
	}
	return spreadOf(values).median
}

func microseconds(value float64) string { return fmt.Sprintf("%.1f µs", value) }

func behindOf(figures []figure) spread {
	values := make([]float64, len(figures))
	for i, f := range figures {
		values[i] = f.behind.Seconds()
	}
	return spreadOf(values)
}
