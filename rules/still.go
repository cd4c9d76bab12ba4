package rules

import (
	"slices"
	"time"

	"gavel/projections"
	"gavel/rules/condition"
)

// Lapse is why a decision does not stand any more, one word; "" where it does.
type Lapse string

// The ways in which a decision lapses between being taken and being performed.
const (
	LapsedEnded     Lapse = "ended"     // the conference has ended
	LapsedLeft      Lapse = "left"      // the leg that it is about, or for, is not there
	LapsedRule      Lapse = "rule"      // its own set of rules does not have the rule for this account
	LapsedExempt    Lapse = "exempt"    // a person exempted the conference
	LapsedOccasion  Lapse = "occasion"  // the condition ceased meanwhile, though it may hold again
	LapsedCondition Lapse = "condition" // `when` does not hold, or `unless` does
)

// Case is a decision that is about to be performed, and how things stand.
type Case struct {
	Decision *Decision
	// State is the rule state of the conference, as of the decision or later;
	// nil where nothing is remembered.
	State *State
	// Record is the conference as Twilio says it is.
	Record *projections.Conference
	// Now is our own clock.
	Now time.Time
	// Redriven: a person asked for it once more. Its occasion may be over.
	Redriven bool
}

// Still holds a decision against how things stand now, by the rules that it was
// taken by: those of its own version, whatever is in force today. `when` and
// `unless` are evaluated again for every rule. What they read of an event, and of
// the record before it, is as it was; where the decision does not carry that, it
// counts as it did then, and all else decides.
func Still(set *Set, now Case) Lapse {
	d := now.Decision
	c := &court{set: set, state: now.State.copy()}
	c.state.Now = now.Now.UTC()
	if d.AsOf.After(c.state.Now) {
		c.state.Now = d.AsOf
	}
	c.open(now.Record, d.Kept.Event(), now.Record)
	c.reading = condition.Recall(c.vars, d.Kept)
	leg := c.subject(d.Subject)
	v, present := c.varsFor(leg)
	switch r := c.rule(d.Rule); {
	case now.Record.End != nil:
		return LapsedEnded
	case r == nil:
		return LapsedRule
	case c.state.exempt(r.Name, c.state.Now):
		return LapsedExempt
	case d.CallSid != "" && !c.there(d.CallSid):
		return LapsedLeft
	case !now.Redriven && !r.PerEvent() && !c.state.awaits(d):
		return LapsedOccasion
	case d.Subject != "" && (leg == nil || !present && (d.Kept != nil || !r.PerEvent())):
		return LapsedLeft
	case !c.holds(r, v):
		return LapsedCondition
	}
	return ""
}

// there reports whether a leg is in the conference.
func (c *court) there(callSid string) bool {
	p := c.subject(callSid)
	return p != nil && p.Live()
}

// awaits reports whether a stretch waits for how the decision ends: it is the
// one that led to it, and has held ever since.
func (s *State) awaits(d *Decision) bool {
	return slices.ContainsFunc(s.Stretches, func(x Stretch) bool { return slices.Contains(x.Awaiting, d.ID) })
}
