package rules

import (
	"slices"
	"time"

	"gavel/projections"
	"gavel/rules/condition"
)

// Lapse is the reason why a decision must not be performed any more, one word; "" if it may be.
type Lapse string

// The reasons why a decision lapses before it is performed.
const (
	LapsedEnded     Lapse = "ended"     // the conference has ended
	LapsedLeft      Lapse = "left"      // the leg of the decision, subject or target, is not in the conference
	LapsedRule      Lapse = "rule"      // the decision's set of rules does not have the rule for this account
	LapsedExempt    Lapse = "exempt"    // a person exempted the conference
	LapsedOccasion  Lapse = "occasion"  // the condition ceased to hold meanwhile, though it may hold again
	LapsedCondition Lapse = "condition" // `when` does not hold, or `unless` does
)

// Case is a decision that is about to be performed, and the current state.
type Case struct {
	Decision *Decision
	// State is the rule state of the conference, as of the decision or later;
	// nil if nothing is remembered.
	State *State
	// Record is the conference as Twilio's REST API reports it.
	Record *projections.Conference
	// Now is our own clock.
	Now time.Time
	// Redriven: an operator redrove the decision. Its occasion may be over.
	Redriven bool
}

// Still checks a decision against the current state, by the rules that made it: those of its own
// version, whatever is in force now. `when`, `unless` and the step's target are evaluated again for
// every rule. What they read of an event, and of the record before the event, keeps its value from
// then. A decision by an older version does not carry that; such a condition counts as it did then,
// and everything else decides.
func Still(set *Set, now Case) Lapse {
	d := now.Decision
	c := &evaluation{set: set, state: now.State.copy()}
	c.state.Now = now.Now.UTC()
	if d.AsOf.After(c.state.Now) {
		c.state.Now = d.AsOf
	}
	c.setVars(now.Record, d.Kept.Event(), now.Record)
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
	case d.CallSid != "" && !c.isLive(d.CallSid):
		return LapsedLeft
	case !now.Redriven && !r.PerEvent() && !c.state.awaits(d):
		return LapsedOccasion
	case d.Subject != "" && (leg == nil || !present && (d.Kept != nil || !r.PerEvent())):
		return LapsedLeft
	case !c.holds(r, v), !c.isTarget(r, d):
		return LapsedCondition
	}
	return ""
}

// isTarget reports whether the leg that the decision is for is still a target of its step.
func (c *evaluation) isTarget(r *Rule, d *Decision) bool {
	if d.CallSid == "" || d.Step < 1 || d.Step > len(r.Do) || r.Do[d.Step-1].Target == nil {
		return true
	}
	v, _ := c.varsFor(c.subject(d.CallSid))
	holds, err := c.evaluate(r.Do[d.Step-1].Target, v, &c.evaluated.when) // it held, like when
	return holds && err == nil
}

// isLive reports whether a leg is in the conference.
func (c *evaluation) isLive(callSid string) bool {
	p := c.subject(callSid)
	return p != nil && p.Live()
}

// awaits reports whether a stretch waits for the result of the decision: the
// stretch that led to it, if it has held ever since.
func (s *State) awaits(d *Decision) bool {
	return slices.ContainsFunc(s.Stretches, func(x Stretch) bool { return slices.Contains(x.Awaiting, d.ID) })
}
