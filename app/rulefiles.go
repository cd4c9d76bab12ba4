package app

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
	// rulesEvery is how often the rule files are read.
	rulesEvery = 5 * time.Second
	// rulesSettle is how long a changed file must stay the same before it is read: an
	// editor may have written half of it.
	rulesSettle = 200 * time.Millisecond
	// maxFaultsLogged bounds the log lines for a file full of faults.
	maxFaultsLogged = 20
)

// proposer holds the rules in force and takes proposals: the rulebook.
type proposer interface {
	Active() (events.Load, bool)
	Propose(ctx context.Context, set *rules.Set, origin string, how rulebook.How) (rulebook.Proposal, error)
	Refuse(origin string, faults []string)
}

// ruleFiles are this process's own rule files. They are proposed at the start, when they change,
// and at a reload; the book decides whether they come into force.
type ruleFiles struct {
	path   string
	origin string
	book   proposer
	check  func(*rules.Set) error // finds what the settings do not allow
	log    *slog.Logger

	// parse and accept are rules.Parse and rules.ParseAccepted; tests set others.
	parse, accept func(...rules.File) (*rules.Set, error)

	last  ruleReading  // the last that was proposed or found wrong
	retry rulebook.How // how to propose it again; empty: it is settled
}

// ruleReading is the content of the files, or why it cannot be read.
type ruleReading struct {
	files []rules.File
	err   error
}

func newRuleFiles(path string, book proposer, check func(*rules.Set) error, log *slog.Logger) (*ruleFiles, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the origin of the rule files: %w", err)
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the origin of the rule files: %w", err)
	}
	return &ruleFiles{
		path: path, origin: host + ":" + whole, book: book, check: check, log: log,
		parse: rules.Parse, accept: rules.ParseAccepted,
	}, nil
}

// start proposes the files as they are. Wrong files end the start only where no rules are in force
// yet: later, a process that a supervisor restarts must still open its door.
func (r *ruleFiles) start(ctx context.Context) error {
	r.last = readRuleFiles(r.path)
	set, err := r.set(r.last)
	if err == nil {
		_, err = r.book.Propose(ctx, set, r.origin, rulebook.Start)
		if errors.Is(err, events.ErrKeyDamaged) {
			return nil // the book has logged it; the door has to open
		}
		return err
	}
	if _, some := r.book.Active(); !some {
		return fmt.Errorf("--rules %s: %w; run `gavel rules check` for details", r.path, err)
	}
	r.logFaults(err)
	return nil
}

// run follows the files until ctx ends.
func (r *ruleFiles) run(ctx context.Context, reloads <-chan struct{}) error {
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.poll(ctx)
		case <-reloads:
			r.propose(ctx, readRuleFiles(r.path), rulebook.Change)
		case <-ctx.Done():
			return nil
		}
	}
}

// poll proposes the files if they changed, or if the last proposal failed.
func (r *ruleFiles) poll(ctx context.Context) {
	now := readRuleFiles(r.path)
	if now.equal(r.last) {
		if r.retry != "" {
			r.propose(ctx, now, r.retry)
		}
		return
	}
	select {
	case <-time.After(rulesSettle):
	case <-ctx.Done():
		return
	}
	if again := readRuleFiles(r.path); again.equal(now) {
		r.propose(ctx, again, rulebook.Change)
	}
}

// propose proposes what was read, or logs its faults. It does so once:
// files that stay the same are not proposed again before a reload.
func (r *ruleFiles) propose(ctx context.Context, now ruleReading, how rulebook.How) {
	r.last, r.retry = now, ""
	set, err := r.set(now)
	if err != nil {
		r.logFaults(err)
		return
	}
	if _, err := r.book.Propose(ctx, set, r.origin, how); err != nil && ctx.Err() == nil {
		r.log.Error("rules could not be proposed, trying again", "path", r.path, "version", set.Version, "error", err)
		if !errors.Is(err, rulebook.ErrCannotKeep) {
			r.retry = how
			return
		}
		r.book.Refuse(r.origin, []string{err.Error()})
	}
}

// set makes rules of what was read.
func (r *ruleFiles) set(now ruleReading) (*rules.Set, error) {
	if now.err != nil {
		return nil, now.err
	}
	set, err := r.parse(now.files...)
	if err != nil {
		if set = r.inForce(now); set == nil {
			return nil, err
		}
	}
	if r.check == nil {
		return set, nil
	}
	return set, r.check(set)
}

// inForce returns the set of what was read if it is in force, else nil. It is no proposal then: new
// checks do not refuse it, and the book reports what they find.
func (r *ruleFiles) inForce(now ruleReading) *rules.Set {
	active, _ := r.book.Active()
	set, err := r.accept(now.files...)
	if err != nil || set.Version != active.Version {
		return nil
	}
	return set
}

// logFaults logs all faults, each in its own line, and has the book show them.
func (r *ruleFiles) logFaults(err error) {
	active, _ := r.book.Active()
	var faults schema.Faults
	located := errors.As(err, &faults)
	r.book.Refuse(r.origin, faultLines(err, faults))
	if !located {
		r.log.Error("rule files have faults, the rules in force stay", "path", r.path, "version", active.Version, "error", err)
		return
	}
	r.log.Error("rule files have faults, the rules in force stay", "path", r.path, "version", active.Version, "faults", len(faults))
	for _, fault := range faults[:min(len(faults), maxFaultsLogged)] {
		r.log.Error("fault in a rule file", "fault", fault.String())
	}
}

// faultLines returns faults as lines, or the error itself if it is about no place in a file.
func faultLines(err error, faults schema.Faults) []string {
	if len(faults) == 0 {
		return []string{err.Error()}
	}
	var lines []string
	for _, fault := range faults[:min(len(faults), maxFaultsLogged)] {
		lines = append(lines, fault.String())
	}
	if more := len(faults) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
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
