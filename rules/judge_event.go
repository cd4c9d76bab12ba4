package rules

import (
	"slices"

	"gavel/events"
	"gavel/rules/condition"
)

// lookAtEvent judges a rule that has an occasion for each event.
func (c *court) lookAtEvent(r *Rule) {
	if r.Each != EachParticipant {
		c.lookOnce(r, "", c.vars)
		return
	}
	for _, p := range c.vars.Conference.Participants {
		if v, present := c.varsFor(p); present {
			c.lookOnce(r, p.CallSid, v)
		}
	}
}

// lookOnce judges it for one subject. Its steps are evaluated now, all of them:
// when the later ones' turn comes the event is gone.
func (c *court) lookOnce(r *Rule, callSid string, v condition.Vars) {
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
				l.Kept = condition.Keep(v, r.When, r.Unless)
			}
		}
	}
	if !c.climbLadder(r, &l) {
		return
	}
	if !c.state.roomFor(l) {
		c.state.Truncated = true
		return
	}
	c.state.Ladders = append(c.state.Ladders, l)
}

// performedAtTwilio reports whether the performer is to ask something of Twilio.
func (d *Decision) performedAtTwilio() bool { return d.Verdict == Act && d.Do.AtTwilio() }

// climbLadder takes steps up to one that has to be waited for, and reports
// whether there is one with more behind it.
func (c *court) climbLadder(r *Rule, l *Ladder) (waits bool) {
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

// settleLadder hears how a decision about a single event ended.
func (c *court) settleLadder(o StepResult) {
	at := slices.IndexFunc(c.state.Ladders, func(l Ladder) bool { return slices.Contains(l.Awaiting, o.Decision) })
	if at < 0 {
		return
	}
	l := &c.state.Ladders[at]
	l.Awaiting = less(l.Awaiting, o.Decision)
	l.Failed = l.Failed || o.Result != events.Done
	if len(l.Awaiting) > 0 {
		return
	}
	r := c.rule(l.Rule)
	if r == nil || l.Failed && !r.continues(l.Step) || !c.climbLadder(r, l) {
		c.state.Ladders = slices.Delete(c.state.Ladders, at, at+1)
	}
}

// stopLadders stops rules that are at work on single events, and records what
// is not done any more.
func (c *court) stopLadders(why Reason, meant func(rule string) bool) {
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
