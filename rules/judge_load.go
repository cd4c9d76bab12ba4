package rules

import (
	"slices"
	"time"
)

// Load says that another set of rules is in force from here on.
type Load struct {
	// Changed are the names of the rules that are new, other than before, or
	// gone (see Changed).
	Changed []string
}

// Changed returns the names of the rules in which two sets differ, sorted.
// before may be nil: the first set there is.
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

// load stops what changed rules were at, and judges the conference against the
// rules as they are now. Their `for` starts here. Occasions keep their names:
// what was decided before is not decided again. Nothing begins in a conference
// that has ended: a new rule is not about all that ever was.
func (c *court) load(l *Load) {
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
		c.lookAtAll(func(r *Rule) bool { return changed(r.Name) })
	}
}

// stopStretches takes what is kept of a changed rule to where it begins anew; r
// is nil where it is gone.
func (c *court) stopStretches(name string, r *Rule) {
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

// changeStretch: a `for` that runs starts again; a ladder that runs has stopped
// and may be tried again; and what a rule in shadow would have done may be done
// by one that is live. A last step that is on its way ends as it ends.
func (c *court) changeStretch(r *Rule, s *Stretch) {
	switch {
	case s.midway():
		s.Awaiting, s.Due = nil, time.Time{}
		c.rest(r, s)
	case s.Phase == Running:
		c.restart(r, s)
	case s.Phase == Resting, s.Phase == Over && !s.Acted && r.Mode == Live && r.Count == nil:
		s.Attempt++
		c.restart(r, s)
	}
}
