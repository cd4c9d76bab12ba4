package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"gavel/events"
	presets "gavel/examples/rules"
	"gavel/handlers/project"
	"gavel/internal/bus"
	"gavel/internal/rulebook"
	"gavel/projections"
	"gavel/rules"
)

// rulesOrigin is the origin recorded with the bench's rules.
const rulesOrigin = "bench"

// youngest is the file of the presets that the figures of former builds were measured without.
const youngest = "ended-from-outside.yaml"

// twentyRules returns ten presets, live, and the same ten under other names.
func twentyRules() (*rules.Set, error) {
	var files []rules.File
	for _, f := range presets.Files() {
		if path.Base(f.Name) == youngest {
			continue
		}
		for _, word := range []string{"first", "second"} {
			text := strings.ReplaceAll(f.Text, "  - name: ", "  - mode: live\n    name: "+word+"-")
			files = append(files, rules.File{Name: word + "-" + f.Name, Text: text})
		}
	}
	return rules.Parse(files...)
}

// loadRules puts the rules in force and appends the load to the lane, as a
// projector does, before all callbacks, so that all of them are judged.
func loadRules(ctx context.Context, b *bus.Bus) error {
	set, err := twentyRules()
	if err != nil {
		return fmt.Errorf("read the presets: %w", err)
	}
	book, err := rulebook.Open(ctx, b.Rules(), warnings())
	if err != nil {
		return err
	}
	if _, err := book.Propose(ctx, set, rulesOrigin, rulebook.Change); err != nil {
		return err
	}
	load, _ := book.Active()
	load.At = time.Now()
	return b.Journal().AppendLane(ctx, 0, events.NewRulesLoaded(load))
}

// judging configures a projector to judge as gavel serve does. It returns a
// function that runs the alarms of the lane, and one that compares the
// decisions with the number expected from a journal of this many events.
func judging(ctx context.Context, b *bus.Bus, store projections.Store, c *project.Config) (
	letWake func(context.Context) error, check func(count int) error, err error,
) {
	book, err := rulebook.Open(ctx, b.Rules(), warnings())
	if err != nil {
		return nil, nil, err
	}
	decided := &counted{Actions: b.Actions()}
	c.RuleBook, c.Actions, c.Timers, c.Listing = book, decided, b.Timers(), store
	wakes := project.Wakes{Timers: b.Timers(), Journal: b.Journal(), Now: time.Now}
	return wakes.Run, decided.check, nil
}

// counted counts decisions.
type counted struct {
	project.Actions
	fresh atomic.Int64
}

// Decide counts the decisions that are new.
func (c *counted) Decide(ctx context.Context, decided []events.Decided) (fresh int, err error) {
	fresh, err = c.Actions.Decide(ctx, decided)
	c.fresh.Add(int64(fresh))
	return fresh, err
}

// check expects the decisions of count callbacks, whose conferences all have ended: no participant
// is labelled agent-*, so each conference waits for a moderator until the two rules about that
// decide. It is too short for all other rules.
func (c *counted) check(count int) error {
	if got, want := int(c.fresh.Load()), 2*count/conferenceEvents; got != want {
		return fmt.Errorf("check the decisions: got %d, want %d", got, want)
	}
	return nil
}
