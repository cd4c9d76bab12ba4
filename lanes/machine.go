package lanes

import (
	"context"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// RuleSets loads compiled rule sets. A Machine reads nothing else besides its arguments.
type RuleSets interface {
	// Set returns the set of a version that has been in force.
	Set(ctx context.Context, version string) (*rules.Set, error)
}

// Machine is the state machine of one lane. It holds the state that belongs to no
// single conference: which rule sets came into force at which position, and the
// tallies of counts. It is not safe for concurrent use.
type Machine struct {
	loader RuleSets
	state  state
	// engine is events.Engine; tests set an older one.
	engine int
	// sets are the rule sets used so far, by version.
	sets map[string]*rules.Set
	// marks is the number of matches over all tallies.
	marks int
	// announced is the last stream sequence whose news is acknowledged.
	announced uint64
}

// New returns the machine of a lane. saved is the result of MarshalState, or nil for a lane without
// state. Without a loader the machine evaluates no rules and ignores saved.
func New(loader RuleSets, saved []byte) (*Machine, error) {
	m := &Machine{loader: loader, engine: events.Engine, sets: map[string]*rules.Set{}}
	if loader == nil {
		return m, nil
	}
	return m, m.unmarshal(saved)
}

// Announced records that the news of all entries up to a stream sequence is
// acknowledged. Steps at or before that sequence return no news.
func (m *Machine) Announced(sequence uint64) { m.announced = max(m.announced, sequence) }

// Step applies one entry to the lane and, if the entry is about a conference, to c, which it
// changes; c is nil otherwise. Entries must come in journal order, but may be repeated. The error
// is the loader's: the rules at this position are not available. After an error the machine and its
// conferences must be discarded and loaded again.
func (m *Machine) Step(ctx context.Context, e *Entry, c *Conference) (Ready, error) {
	switch {
	case c == nil:
		return m.stepLane(ctx, e)
	case !e.At.After(c.Book.Applied):
		return m.repeat(e, c), nil
	}
	var r Ready
	version := c.Book.Version
	f, err := c.fold(e)
	if err != nil {
		r.unfoldable(e, err)
		return r, nil
	}
	if f.fresh {
		m.announce(&r, c, &f)
	}
	r.Double = !f.fresh && !onlyEvaluated(&e.Event)
	if err := m.evaluate(ctx, &r, c, &f); err != nil {
		return r, fmt.Errorf("judge a conference: %w", err)
	}
	r.Changed = c.Book.Version != version
	return r, nil
}

// stepLane applies an entry that is about no conference.
func (m *Machine) stepLane(ctx context.Context, e *Entry) (r Ready, err error) {
	if m.loader == nil {
		return r, nil
	}
	r.Loaded = e.Event.Kind != events.RuleMatch
	if !e.At.After(m.state.Applied) {
		return r, nil
	}
	switch e.Event.Kind {
	case events.RulesLoaded:
		r.LaneChanged, err = m.load(ctx, e)
	case events.NameExempted:
		r.LaneChanged, err = m.exemptName(e)
	case events.RuleReset:
		r.LaneChanged, err = m.reset(e)
	case events.RuleMatch:
		r.Decisions, r.LaneChanged, err = m.count(ctx, e)
	}
	if errors.Is(err, events.ErrMalformed) {
		r = Ready{}
		r.unfoldable(e, err)
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("apply an entry of the lane: %w", err)
	}
	return r, nil
}

// repeat handles an entry at or before the position that the conference has
// reached: it was applied before a crash. Its news is published again if it may
// not have been published; otherwise the entry is a double.
func (m *Machine) repeat(e *Entry, c *Conference) (r Ready) {
	for _, f := range c.Book.Doubtful {
		if f.At == e.At && f.ID == e.Event.ID {
			r.setNews(e, c, f.Late)
			return r
		}
	}
	r.Double = !onlyEvaluated(&e.Event)
	return r
}

// announce adds the news of a fresh fact, and keeps the fact as doubtful until
// its news is acknowledged.
func (m *Machine) announce(r *Ready, c *Conference, f *folded) {
	e := f.entry
	if e.Event.Kind == events.SpeechDropped {
		return
	}
	late := f.before.Late(e.Event.SequenceNumber)
	r.Fresh, r.Late = true, late
	if !late && f.before != nil && len(f.before.Seen) > 0 {
		r.Jumped = max(0, c.Record.Seen.Max()-f.before.Seen.Max()-1)
	}
	if e.At.Sequence <= m.announced {
		return
	}
	// The old slice may still be read: it is part of a record that is being saved.
	kept := make([]projections.Doubt, 0, len(c.Book.Doubtful)+1)
	for _, old := range c.Book.Doubtful {
		if old.At.Sequence > m.announced && old.At.After(c.LastNews) {
			kept = append(kept, old)
		}
	}
	c.Book.Doubtful = append(kept, projections.Doubt{ID: e.Event.ID, At: e.At, Late: late})
	r.setNews(e, c, late)
}

// onlyEvaluated reports whether an event is evaluated but not folded into a record.
func onlyEvaluated(e *events.Event) bool {
	return e.Kind == events.Wake || e.Kind == events.Reread || e.Kind == events.Exempted
}

// Evaluates reports whether the machine evaluates rules.
func (m *Machine) Evaluates() bool { return m.loader != nil }
