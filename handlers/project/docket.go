package project

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gavel/events"
	"gavel/rules"
)

// RuleBook has the sets of rules. Which one is in force in a lane is not its to
// say: that is what the lane's journal says.
type RuleBook interface {
	// Active is the load that is in force everywhere, or about to be.
	Active() (events.Load, bool)
	// Set returns a set that was in force once, compiled.
	Set(ctx context.Context, version string) (*rules.Set, error)
	// Fault counts an expression of a rule that could not be evaluated.
	Fault(rule, in string)
}

// keepLoads is how many loads a lane remembers. A conference that slept through
// more is judged as if the ones before had never been; but every load wakes
// every conference that has not ended.
const keepLoads = 64

// docket is what a lane remembers of rules, beside what stands with each
// conference: which sets came into force where, and its tallies. It is a
// function of the journal, like all that is judged, and belongs to one
// goroutine.
type docket struct {
	book  RuleBook
	state laneState
	// sets are those of the loads, as far as they were needed, by version.
	sets map[string]*rules.Set
	// marks are how many matches the tallies remember together.
	marks int
	// changed: the state is another than the one that was written last.
	changed bool
	// loaded are the ids of all loads, for other goroutines.
	loaded atomic.Pointer[[]string]
}

// laneState is a lane's own state as the store keeps it, JSON.
type laneState struct {
	// Applied is the last position that changed it: it may be ahead of what is
	// acknowledged.
	Applied events.Position `json:"applied"`
	// Loads are in the order of the journal.
	Loads []load `json:"loads,omitempty"`
	// Tallies are by countKey.
	Tallies map[string]rules.Tally `json:"tallies,omitempty"`
}

// load is a set of rules coming into force at one place of the journal.
type load struct {
	ID       string          `json:"id"`
	Version  string          `json:"version"`
	At       time.Time       `json:"at"`
	Position events.Position `json:"position"`
}

// openDocket returns the docket of a lane whose state was kept, nil without a
// rule book: then nothing is judged.
func openDocket(book RuleBook, kept []byte) (*docket, error) {
	if book == nil {
		return nil, nil
	}
	d := &docket{book: book, sets: map[string]*rules.Set{}}
	if len(kept) > 0 {
		if err := json.Unmarshal(kept, &d.state); err != nil {
			return nil, fmt.Errorf("decode the lane's rule state: %w", err)
		}
	}
	if d.state.Tallies == nil {
		d.state.Tallies = map[string]rules.Tally{}
	}
	for _, t := range d.state.Tallies {
		d.marks += len(t.Marks)
	}
	d.publish()
	return d, nil
}

// encode returns the state to be kept, nil where it is as it was.
func (d *docket) encode() ([]byte, error) {
	if d == nil || !d.changed {
		return nil, nil
	}
	raw, err := json.Marshal(d.state)
	if err != nil {
		return nil, fmt.Errorf("encode the lane's rule state: %w", err)
	}
	d.changed = false
	return raw, nil
}

// has reports whether a load came into force here, for any goroutine.
func (d *docket) has(id string) bool { return slices.Contains(*d.loaded.Load(), id) }

func (d *docket) publish() {
	ids := make([]string, len(d.state.Loads))
	for i, l := range d.state.Loads {
		ids[i] = l.ID
	}
	d.loaded.Store(&ids)
}

// hear hears an entry that is of the lane, and gives what is to be decided in an
// account for no conference. An entry that cannot be read is a
// *events.FormError.
func (d *docket) hear(ctx context.Context, e *events.Event, at events.Position) ([]rules.Decision, error) {
	switch {
	case d == nil || !at.After(d.state.Applied):
		return nil, nil
	case e.Kind == events.RulesLoaded:
		return nil, d.load(ctx, e, at)
	case e.Kind == events.RuleMatch:
		return d.count(ctx, e, at)
	}
	return nil, nil
}

// load brings a set of rules into force. A load that is told again is one that
// was stored twice.
func (d *docket) load(ctx context.Context, e *events.Event, at events.Position) error {
	l, err := e.Load()
	if err != nil || d.has(l.ID) {
		return err
	}
	set, err := d.set(ctx, l.Version)
	if err != nil {
		return err
	}
	d.state.Loads = append(d.state.Loads, load{strings.Clone(l.ID), strings.Clone(l.Version), l.At, at})
	d.state.Loads = d.state.Loads[max(0, len(d.state.Loads)-keepLoads):]
	d.forgetTallies(set)
	d.touch(at)
	d.publish()
	return nil
}

// touch notes that the state changed.
func (d *docket) touch(at events.Position) { d.state.Applied, d.changed = at, true }

// set returns a compiled set.
func (d *docket) set(ctx context.Context, version string) (*rules.Set, error) {
	if set := d.sets[version]; set != nil {
		return set, nil
	}
	set, err := d.book.Set(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("read the rules of version %s: %w", version, err)
	}
	d.sets[version] = set
	return set, nil
}

// noRules are in force before the first load.
var noRules = new(rules.Set)

// setOf returns the set of a load by its place; before the first one there are
// no rules.
func (d *docket) setOf(ctx context.Context, i int) (*rules.Set, error) {
	if i < 0 {
		return noRules, nil
	}
	return d.set(ctx, d.state.Loads[i].Version)
}

// young reports whether the last load is so young that conferences may not have
// been woken for it.
func (d *docket) young(now time.Time) bool {
	if d == nil || len(d.state.Loads) == 0 {
		return false
	}
	return now.Sub(d.state.Loads[len(d.state.Loads)-1].At) < youngLoad
}

// before returns how many of the loads lie before a position. It is asked in the
// order of the journal, so that is all of them as a rule.
func (d *docket) before(at events.Position) int {
	n := len(d.state.Loads)
	for n > 0 && !at.After(d.state.Loads[n-1].Position) {
		n--
	}
	return n
}
