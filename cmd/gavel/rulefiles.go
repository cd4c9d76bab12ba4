package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gavel/events"
	"gavel/internal/rulebook"
	"gavel/rules"
	"gavel/rules/schema"
)

const (
	// rulesEvery is how often the rule files are looked at.
	rulesEvery = 5 * time.Second
	// rulesSettle is for how long a changed file has to stay the same before it
	// counts: an editor may have written half of it.
	rulesSettle = 200 * time.Millisecond
	// maxFaultsLogged bounds the lines that a file which is all wrong makes.
	maxFaultsLogged = 20
)

// proposer knows which rules are in force, and may put others there: the
// rulebook.
type proposer interface {
	Active() (events.Load, bool)
	Propose(ctx context.Context, set *rules.Set, origin string, how rulebook.How) (rulebook.Proposal, error)
}

// ruleFiles are this process's own rule files. They are proposed at the start,
// when they change, and on SIGHUP; whether they come into force, the book says.
type ruleFiles struct {
	path   string
	origin string
	book   proposer
	check  func(*rules.Set) error // what only the settings tell
	log    *slog.Logger

	seen ruleReading  // the last that was judged
	owed rulebook.How // how to propose it still, after no answer
}

// ruleReading is what was found at the path.
type ruleReading struct {
	files []rules.File
	err   error
}

func newRuleFiles(path string, book proposer, check func(*rules.Set) error, log *slog.Logger) (*ruleFiles, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find whose rule files these are: %w", err)
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find whose rule files these are: %w", err)
	}
	return &ruleFiles{path: path, origin: host + ":" + whole, book: book, check: check, log: log}, nil
}

// start proposes the files as they are. Files that are not right end the start
// only where no rules are in force yet: later on, a process that begins again
// by itself must not leave Twilio without a door for them.
func (r *ruleFiles) start(ctx context.Context) error {
	r.seen = readRuleFiles(r.path)
	set, err := r.set(r.seen)
	if err == nil {
		_, err = r.book.Propose(ctx, set, r.origin, rulebook.Start)
		return err
	}
	if _, some := r.book.Active(); !some {
		return fmt.Errorf("--rules %s: %w; `gavel rules check` says more", r.path, err)
	}
	r.tell(err)
	return nil
}

// run follows the files until ctx ends.
func (r *ruleFiles) run(ctx context.Context, hangups <-chan os.Signal) error {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.look(ctx)
		case <-hangups:
			r.judge(ctx, readRuleFiles(r.path), rulebook.Change)
		case <-ctx.Done():
			return nil
		}
	}
}

// look proposes the files if they changed, or owe an answer.
func (r *ruleFiles) look(ctx context.Context) {
	now := readRuleFiles(r.path)
	if now.equal(r.seen) {
		if r.owed != "" {
			r.judge(ctx, now, r.owed)
		}
		return
	}
	select {
	case <-time.After(rulesSettle):
	case <-ctx.Done():
		return
	}
	if again := readRuleFiles(r.path); again.equal(now) {
		r.judge(ctx, again, rulebook.Change)
	}
}

// judge proposes what was read, or says what is wrong with it. That is said
// once: the same again is not judged again, unless a person asks.
func (r *ruleFiles) judge(ctx context.Context, now ruleReading, how rulebook.How) {
	r.seen, r.owed = now, ""
	set, err := r.set(now)
	if err != nil {
		r.tell(err)
		return
	}
	if _, err := r.book.Propose(ctx, set, r.origin, how); err != nil && ctx.Err() == nil {
		r.log.Error("rules could not be proposed, trying again", "path", r.path, "version", set.Version, "error", err)
		if !errors.Is(err, rulebook.ErrCannotKeep) {
			r.owed = how
		}
	}
}

// set makes rules of what was read, or says why they are none.
func (r *ruleFiles) set(now ruleReading) (*rules.Set, error) {
	if now.err != nil {
		return nil, now.err
	}
	set, err := rules.Parse(now.files...)
	if err != nil {
		return nil, err
	}
	if r.check == nil {
		return set, nil
	}
	return set, r.check(set)
}

// tell says all that is wrong, each fault in its own line.
func (r *ruleFiles) tell(err error) {
	active, _ := r.book.Active()
	var faults schema.Faults
	if !errors.As(err, &faults) {
		r.log.Error("rule files are not right: the rules in force stay", "path", r.path, "version", active.Version, "error", err)
		return
	}
	r.log.Error("rule files are not right: the rules in force stay", "path", r.path, "version", active.Version, "faults", len(faults))
	for _, fault := range faults[:min(len(faults), maxFaultsLogged)] {
		r.log.Error("fault in a rule file", "fault", fault.String())
	}
}

func readRuleFiles(path string) ruleReading {
	files, err := rules.ReadFiles(path)
	return ruleReading{files, err}
}

func (a ruleReading) equal(b ruleReading) bool {
	if a.err != nil || b.err != nil {
		return a.err != nil && b.err != nil && a.err.Error() == b.err.Error()
	}
	return slices.Equal(a.files, b.files)
}
