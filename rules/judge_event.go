package rules

import (
	"slices"

	"gavel/events"
	"gavel/rules/condition"
)

// judgeEvent judges a rule that has an occasion for each event.
func (c *evaluation) judgeEvent(r *Rule) {
	if r.Each != EachParticipant {
		c.judgeEventFor(r, "", c.vars)
		return
	}
	for _, p := range c.vars.Conference.Participants {
		if v, present := c.varsFor(p); present {
			c.judgeEventFor(r, p.CallSid, v)
		}
	}
}

// judgeEventFor judges a rule of judgeEvent for one leg, or for the conference if callSid is empty.
// It decides all steps now, because the event is no longer available when a later step is due.
func (c *evaluation) judgeEventFor(r *Rule, callSid string, v condition.Vars) {
	if !c.holds(r, v) {
		return
	}
	o := occasion{c.cause.name, callSid, 1, c.cause.stale}
	if r.Count != nil {
		c.match(r, v, o)
		return
	}
	l := Ladder{Rule: r.Name}
	for n := range r.Do {
		for _, d := range c.decide(r, n+1, v, o) {
			if !c.heldUntil(r, d.Do).IsZero() {
				d.Verdict, d.Reason = Refused, HeldBack
			}
			l.Rest = append(l.Rest, d)
			if d.performedAtTwilio() && l.Kept == nil {
				l.Kept = condition.Keep(v, r.conditions()...)
			}
		}
	}
	if !c.runLadder(r, &l) {
		return
	}
	if !c.state.roomFor(l) {
		c.state.Truncated = true
		return
	}
	c.state.Ladders = append(c.state.Ladders, l)
}

// conditions returns the conditions of the rule that Gate evaluates again right
// before an action. An element may be nil.
func (r *Rule) conditions() []*condition.Condition {
	all := []*condition.Condition{r.When, r.Unless}
	for i := range r.Do {
		all = append(all, r.Do[i].Target)
	}
	return all
}

// performedAtTwilio reports whether the performer calls Twilio for the decision.
func (d *Decision) performedAtTwilio() bool { return d.Verdict == Act && d.Do.AtTwilio() }

// runLadder decides steps, up to the first step whose result the ladder has to
// wait for. It reports whether more steps follow that step.
func (c *evaluation) runLadder(r *Rule, l *Ladder) (waits bool) {
	for len(l.Rest) > 0 {
		l.Step, l.Awaiting, l.Failed = l.Rest[0].Step, nil, false
		for len(l.Rest) > 0 && l.Rest[0].Step == l.Step {
			d := l.Rest[0]
			d.AsOf, l.Rest = c.state.Now, l.Rest[1:]
			if d.performedAtTwilio() {
				d.Kept = l.Kept
			}
			c.decisions = append(c.decisions, d)
			switch d.Verdict {
			case Act:
				l.Awaiting = append(l.Awaiting, d.ID)
			case Refused:
				l.Failed = true
			}
		}
		if len(l.Awaiting) > 0 {
			return len(l.Rest) > 0
		}
		if l.Failed && !r.continues(l.Step) {
			return false
		}
	}
	return false
}

// applyLadderResult records how a decision about a single event ended.
func (c *evaluation) applyLadderResult(o StepResult) {
	at := slices.IndexFunc(c.state.Ladders, func(l Ladder) bool { return slices.Contains(l.Awaiting, o.Decision) })
	if at < 0 {
		return
	}
	l := &c.state.Ladders[at]
	l.Awaiting = without(l.Awaiting, o.Decision)
	l.Failed = l.Failed || o.Result != events.Done
	if len(l.Awaiting) > 0 {
		return
	}
	r := c.rule(l.Rule)
	if r == nil || l.Failed && !r.continues(l.Step) || !c.runLadder(r, l) {
		c.state.Ladders = slices.Delete(c.state.Ladders, at, at+1)
	}
}

// stopLadders stops the ladders that rules have for single events, and records
// the first step that is no longer performed.
func (c *evaluation) stopLadders(why Reason, meant func(rule string) bool) {
	c.state.Ladders = slices.DeleteFunc(c.state.Ladders, func(l Ladder) bool {
		if !meant(l.Rule) {
			return false
		}
		d := l.Rest[0]
		d.AsOf, d.Verdict, d.Reason = c.state.Now, Refused, why
		c.decisions = append(c.decisions, d)
		return true
	})
}
