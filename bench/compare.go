package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// comparedRows are measured by default when two builds are compared.
var comparedRows = []string{"door", "door-interval", "project", "project-rules", "fill"}

// The bar for the median of a comparison: of a rate, and of a time.
const (
	unchangedRate = 0.9
	unchangedTime = 1.1
)

// compare measures this build and another one in the same rounds and prints the
// ratios new/old. Two separate runs would compare two states of the machine.
func compare(ctx context.Context, s settings) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, compareAtMost, fmt.Errorf("the run took more than %s", compareAtMost))
	defer cancel()
	now, err := openWorkshop(ctx, s)
	if err != nil {
		return err
	}
	defer join(&err, now.close)
	before, err := now.other(ctx, s.against)
	if err != nil {
		return err
	}
	rows := s.only
	if len(rows) == 0 {
		rows = comparedRows
	}
	var lines []line
	for _, g := range []*group{doors(), projectors(), fills(), starts(), fillMemory()} {
		g.keep(func(row string) bool { return slices.Contains(rows, row) })
		found, err := g.compare(ctx, now, before, os.Stderr)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		lines = append(lines, found...)
	}
	return conclude(s, lines)
}

// other opens a workshop for another build. Where is a directory with a checkout, or a revision of
// this repository, which other exports into a temporary directory.
func (s *workshop) other(ctx context.Context, where string) (*workshop, error) {
	root, err := filepath.Abs(where)
	if err != nil {
		return nil, fmt.Errorf("find the other build: %w", err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		if root, err = s.export(ctx, where); err != nil {
			return nil, err
		}
	}
	o := *s
	o.root, o.dir, o.made = root, filepath.Join(s.dir, "other"), map[string]string{}
	if err := os.Mkdir(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for the other build: %w", err)
	}
	o.self, err = o.build(ctx, "bench", "./bench")
	return &o, err
}

// export writes a revision's files into a directory.
func (s *workshop) export(ctx context.Context, revision string) (string, error) {
	return s.once("revision", func(path string) error {
		archive := path + ".tar"
		if err := s.run(ctx, s.root, "git", "archive", "-o", archive, revision); err != nil {
			return fmt.Errorf("%s is neither a checkout nor a revision: %w", revision, err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		return s.run(ctx, path, "tar", "-xf", archive)
	})
}

// compare runs the measured side of every ratio on both builds in every round.
// The order of the builds alternates.
func (g *group) compare(ctx context.Context, now, before *workshop, progress io.Writer) ([]line, error) {
	if len(g.ratios) == 0 {
		return nil, nil
	}
	builds := []*workshop{now, before}
	for _, shop := range builds {
		if err := g.prepare(ctx, shop); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	figures := map[string]map[*workshop][]figure{}
	for _, r := range g.ratios {
		figures[r.side] = map[*workshop][]figure{}
	}
	for round := range now.rounds {
		for _, s := range inTurn(g.sides, round) {
			of, measured := figures[s.name]
			if !measured {
				continue
			}
			for _, shop := range inTurn(builds, round) {
				f, err := s.run(ctx, shop)
				if err != nil {
					return nil, fmt.Errorf("round %d, %s: %w", round+1, s.name, err)
				}
				of[shop] = append(of[shop], f)
			}
			fmt.Fprintf(progress, "round %d/%d  %-16s new %s, old %s\n", round+1, now.rounds, s.name,
				g.amount(of[now][round].value), g.amount(of[before][round].value))
		}
	}
	var lines []line
	for _, r := range g.ratios {
		lines = append(lines, g.compared(r, figures[r.side][now], figures[r.side][before]))
	}
	return lines, nil
}

// compared returns the row that compares two builds on a ratio's measured side.
func (g *group) compared(r ratio, now, before []figure) line {
	builds := ratio{name: r.name, what: r.side + ": new / old", bar: unchangedRate, most: r.most, behind: r.behind}
	if r.most {
		builds.bar = unchangedTime
	}
	if r.against > 0 {
		builds.bar = r.against
	}
	l := builds.line(g, now, before)
	if old := medianCPU(before); old > 0 {
		l.aside += fmt.Sprintf(" over %s (%.2f)", microseconds(old), medianCPU(now)/old)
	}
	return l
}
