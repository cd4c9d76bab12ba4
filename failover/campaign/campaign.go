//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
)

// campaign is a promise, the fault that must not break it, and how often it is tried. To add one,
// write its file and append it to campaigns.
type campaign struct {
	id, what string
	// control describes what is different in the control.
	control string
	// older means that the control runs the older binary, and nothing else is different.
	older bool
	// together is how many rounds run at once, if more than one: those that mostly wait.
	together int
	// short and full are the numbers of rounds; the control has a fifth, and at least one.
	short, full int
	// round does the fault once and counts what it saw in w.counts.
	round func(w *world)
	// broken returns how the counts break the promise, "" if they keep it.
	broken func(counts) string
}

// counts are what all rounds saw, by name.
type counts map[string]int

func (c counts) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		all = append(all, fmt.Sprintf("%s=%d", name, c[name]))
	}
	return strings.Join(all, " ")
}

// add adds what one round saw. Of what is slowest, the slowest counts.
func (c counts) add(round counts) {
	for name, n := range round {
		if strings.HasPrefix(name, "slowest") {
			c[name] = max(c[name], n)
		} else {
			c[name] += n
		}
	}
}

// mustBeZero is the promise that nothing of these names is counted, and that something was tried.
func mustBeZero(tried string, names ...string) func(counts) string {
	return func(c counts) string {
		if c[tried] == 0 {
			return "nothing was " + tried
		}
		for _, name := range names {
			if c[name] > 0 {
				return fmt.Sprintf("%d are %s", c[name], name)
			}
		}
		return ""
	}
}

func campaigns() []campaign {
	return slices.Concat(crashes, storage, pressure)
}

func find(id string) (campaign, bool) {
	all := campaigns()
	i := slices.IndexFunc(all, func(c campaign) bool { return c.id == id })
	if i < 0 {
		return campaign{}, false
	}
	return all[i], true
}

func list() string {
	var b strings.Builder
	for _, c := range campaigns() {
		fmt.Fprintf(&b, "  %-4s %s\n", c.id, c.what)
	}
	return b.String()
}

// run runs the campaign and its control, and reports whether both ended as they must.
func (c campaign) run(ctx context.Context, s settings) (ok bool) {
	rounds := c.short
	if s.size == "full" {
		rounds = c.full
	}
	seen, broken := c.rounds(ctx, s, rounds, false)
	result := "HOLDS"
	if broken != "" {
		result = "BREAKS: " + broken
	}
	fmt.Printf("%s seed %d %s | %s | %s | %s\n", c.id, s.seed, s.size, c.what, seen, result)
	if ctx.Err() != nil || c.older && s.older == "" {
		fmt.Printf("%s | control: %s | not run: name the older binary\n", c.id, c.control)
		return false
	}
	seen, lost := c.rounds(ctx, s, max(1, rounds/5), true)
	result = "BREAKS, as it must: " + lost
	if lost == "" {
		result = "HOLDS, so the campaign sees nothing"
	}
	fmt.Printf("%s seed %d %s | control: %s | %s | %s\n", c.id, s.seed, s.size, c.control, seen, result)
	return broken == "" && lost != ""
}

// rounds runs rounds, each in a world of its own. A round that cannot go on counts as failed.
func (c campaign) rounds(ctx context.Context, s settings, n int, control bool) (counts, string) {
	all := counts{}
	binary := s.binary
	if control && c.older {
		binary = s.older
	}
	var mu sync.Mutex
	places := make(chan struct{}, max(1, c.together))
	var under sync.WaitGroup
	for round := range n {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		w := &world{
			ctx: ctx, binary: binary, server: s.server, control: control, full: s.size == "full", round: round, counts: counts{},
			random: rand.New(rand.NewPCG(s.seed, uint64(round))),
		}
		under.Go(func() {
			fault := w.try(c.round)
			mu.Lock()
			defer mu.Unlock()
			if all.add(w.counts); fault != "" {
				all["failed"]++
				fmt.Fprintf(os.Stderr, "%s round %d: %s\n", c.id, round, fault)
			}
			<-places
		})
	}
	under.Wait()
	broken := c.broken(all)
	if all["failed"] > 0 && !control {
		broken = fmt.Sprintf("%d rounds failed", all["failed"])
	}
	return all, broken
}
