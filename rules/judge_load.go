package rules

import (
	"reflect"
	"slices"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// firstReload and lastReload bound the delay of a step that is decided again (see delay). A lane
// follows the rules in force within seconds.
const (
	firstReload = 10 * time.Second
	lastReload  = 10 * time.Minute
)

// Load states that another set of rules is in force from here on.
type Load struct {
	// Changed are the names of the rules that are new, different or removed (see Changed).
	Changed []string
	// Scope: `exempt` or `accounts` differ, so that any rule may begin or end. Quiet: the quiet hours
	// differ, so that what waits for their end may be due.
	Scope, Quiet bool
}

// LoadOf returns the load of a set after another one; before may be nil, for the first set.
func LoadOf(before, after *Set) *Load {
	if before == nil {
		before = new(Set)
	}
	return &Load{
		Changed: Changed(before, after),
		Scope:   !reflect.DeepEqual(before.Exempt, after.Exempt) || !slices.Equal(before.Accounts, after.Accounts),
		Quiet:   !before.QuietHours.equal(after.QuietHours),
	}
}

// Changed returns the names of the rules that differ between two sets, sorted.
// before may be nil, for the first set.
func Changed(before, after *Set) []string {
	var names []string
	for _, r := range after.Rules {
		if before == nil || before.Rule(r.Name) == nil || before.Rule(r.Name).Version != r.Version {
			names = append(names, r.Name)
		}
	}
	if before != nil {
		for _, r := range before.Rules {
			if after.Rule(r.Name) == nil {
				names = append(names, r.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// load judges the conference by the rules as they are now. A rule with another version stops its
// ladder and begins a new occasion, which the load names; one that did all its steps does not. A rule
// that is off or absent is parked, and one that is back with the version it had continues where it
// was. Nothing begins in a conference that has ended: a new rule does not apply to past conferences.
func (c *evaluation) load(l *Load) {
	changed := func(rule string) bool { return slices.Contains(l.Changed, rule) }
	c.stopLadders(RuleChanged, func(rule string) bool { return changed(rule) || c.rule(rule) == nil })
	c.state.Flips = slices.DeleteFunc(c.state.Flips, func(f Flip) bool { return changed(f.Rule) || c.rule(f.Rule) == nil })
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, c.obsolete)
	due := map[string]bool{}
	for i := range c.state.Stretches {
		s := &c.state.Stretches[i]
		c.loadStretch(s, l)
		due[s.Rule] = due[s.Rule] || s.Parked.IsZero() && !s.Due.IsZero() && !s.Due.After(c.state.Now)
	}
	if c.vars.Conference.End == nil {
		c.judgeRules(func(r *Rule) bool { return l.Scope || changed(r.Name) || due[r.Name] })
	}
}

// obsolete reports whether nothing of a stretch is kept at a load: the conference has ended, its rule is
// of another kind now, or its condition did not hold all the time while the rule was off or absent.
func (c *evaluation) obsolete(s Stretch) bool {
	r := c.rule(s.Rule)
	switch {
	case c.vars.Conference.End != nil:
		return r == nil || r.Version != s.Version
	case r == nil:
		return false
	case r.Version == s.Version:
		return !s.Parked.IsZero() && !c.heldSince(r, s.CallSid, s.Parked)
	case r.PerEvent() || (s.CallSid != "") != (r.Each == EachParticipant):
		c.recordStop(s)
		return true
	}
	return false
}

// heldSince reports whether the condition of a rule held before each change of a leg after a moment.
func (c *evaluation) heldSince(r *Rule, callSid string, since time.Time) bool {
	for _, t := range c.vars.Conference.Changes(projections.At(since)) {
		if t.At.Time().After(since) && !c.held(r, callSid, c.vars.Conference.Before(t), t.At.Time()) {
			return false
		}
	}
	return true
}

// loadStretch applies a load to one stretch. What follows for a stretch that is due is decided when
// its rule is judged.
func (c *evaluation) loadStretch(s *Stretch, l *Load) {
	r := c.rule(s.Rule)
	switch {
	case r == nil:
		c.park(s)
	case r.Version == s.Version:
		c.unpark(s)
		if s.Phase == Held && l.Quiet && c.vars.Conference.End == nil {
			s.Due = c.state.Now
		}
	case s.Phase == Acting && s.Step == s.Of && len(s.Awaiting) > 0:
		s.Next, s.Since, s.Parked = c.cause.name, c.state.Now, time.Time{} // the result of the last step counts
	case s.done() || s.Phase == Over && (r.Count != nil || r.Mode != Live):
		s.Version, s.Phase, s.Parked = r.Version, Over, time.Time{}
	default:
		c.recordStop(*s)
		c.renew(r, s, c.cause.name)
	}
}

// recordStop records that a ladder stopped half-way because its rule has changed. For a parked one it
// was recorded before.
func (c *evaluation) recordStop(s Stretch) {
	if s.midway() && s.Parked.IsZero() {
		c.refuse(s, "", RuleChanged)
	}
}

// park keeps a stretch whose rule is off or absent.
func (c *evaluation) park(s *Stretch) {
	if s.Parked.IsZero() {
		c.recordStop(*s)
		s.Parked = c.state.Now
	}
}

// unpark lets a stretch continue where it was. If the refusal of its next step was recorded, that step
// needs another id: it is done in another attempt.
func (c *evaluation) unpark(s *Stretch) {
	s.Next = ""
	if s.Parked.IsZero() {
		return
	}
	s.Parked = time.Time{}
	if s.midway() {
		s.Attempt++
		s.Redone++
	}
	if s.Phase == Acting && len(s.Awaiting) == 0 {
		s.Due = c.state.Now
	}
}

// renew begins a new occasion of a rule that has changed, whose name is that of the load.
func (c *evaluation) renew(r *Rule, s *Stretch, occasion string) {
	*s = Stretch{
		Rule: s.Rule, Version: r.Version, CallSid: s.CallSid, Occasion: occasion, Stale: s.Stale,
		Since: c.state.Now, Phase: Running, Due: c.state.Now.Add(r.For), Attempt: 1, Of: len(r.Do),
	}
}

// done reports whether the performer did all steps of a ladder.
func (s *Stretch) done() bool {
	return s.Acted && !s.Failed && !s.Undone && !s.Quiet && s.Step == s.Of &&
		(s.Phase == Over || s.Phase == Acting && len(s.Awaiting) == 0)
}

// delay is how long a stretch waits for the load that the performer has met, before it decides the
// refused step again: the lane may never get a set that was in force for less than a second.
func (s *Stretch) delay() time.Duration { return min(firstReload<<min(s.Redone, 6), lastReload) }

// redo decides the step again that was refused because of rules that the lane did not have. A load
// has not come, or not changed the rule.
func (c *evaluation) redo(r *Rule, s *Stretch, v condition.Vars) {
	s.Attempt++
	s.Redone++
	s.Step--
	s.Redo, s.Undone = s.Step+1, false
	c.runSteps(r, s, v)
}

// doneBefore reports whether an earlier attempt of a step that is decided again did what d does.
func (c *evaluation) doneBefore(s *Stretch, d Decision) bool {
	if s.Redo != d.Step {
		return false
	}
	for d.Attempt--; d.Attempt > 0; d.Attempt-- {
		id := d.id()
		if slices.ContainsFunc(c.vars.Conference.Actions, func(a *projections.ActionRecord) bool {
			return a.ID == id && a.Outcome != nil && a.Outcome.Result == events.Done
		}) {
			return true
		}
	}
	return false
}
