package rules

import (
	"slices"
	"time"
)

// Load states that another set of rules is in force from here on.
type Load struct {
	// Changed are the names of the rules that are new, different or removed (see Changed).
	Changed []string
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

// load stops the ladders of changed rules, and judges the conference by the rules as they are now.
// Their `for` starts here. Occasions keep their names, so that no earlier decision is repeated.
// Nothing begins in a conference that has ended: a new rule does not apply to past conferences.
func (c *evaluation) load(l *Load) {
	changed := func(rule string) bool { return slices.Contains(l.Changed, rule) }
	c.stopLadders(RuleChanged, changed)
	for _, name := range l.Changed {
		r := c.rule(name)
		c.stopStretches(name, r)
		c.forget(name, func(callSid string) bool {
			return r == nil || r.PerEvent() || (callSid != "") != (r.Each == EachParticipant)
		})
	}
	if c.vars.Conference.End == nil {
		c.judgeRules(func(r *Rule) bool { return changed(r.Name) })
	}
}

// stopStretches stops the stretches of a changed rule and prepares them to
// start again; r is nil if the rule was removed.
func (c *evaluation) stopStretches(name string, r *Rule) {
	for i := range c.state.Stretches {
		s := &c.state.Stretches[i]
		if s.Rule != name {
			continue
		}
		if s.midway() {
			c.refuse(*s, "", RuleChanged)
		}
		if r != nil {
			c.changeStretch(r, s)
		}
	}
}

// changeStretch restarts a running `for`, ends an attempt whose ladder had stopped half-way, so
// that it may be tried again, and gives a rule that acted only in shadow the chance to act when it
// becomes live. If only the last step is in progress, its result counts.
func (c *evaluation) changeStretch(r *Rule, s *Stretch) {
	switch {
	case s.midway():
		s.Awaiting, s.Due = nil, time.Time{}
		c.endAttempt(r, s)
	case s.Phase == Running:
		c.restart(r, s)
	case s.Phase == Resting, s.Phase == Over && !s.Acted && r.Mode == Live && r.Count == nil:
		s.Attempt++
		c.restart(r, s)
	}
}
