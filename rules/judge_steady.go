package rules

import (
	"slices"
	"strings"

	"gavel/projections"
	"gavel/rules/condition"
)

// earlier is what is needed of the record before a fact, to find what the fact did not change.
type earlier struct {
	reading *condition.Reading
	// others are the legs of the record after the fact that differ, or are no subject any more.
	others []*projections.Participant
	// exempt: the rule files exempt the same.
	exempt bool
}

// steady reports whether a fact that changed some parts of the record has certainly changed nothing
// for the legs that are as before: the condition of a rule has the same value for them, and changes
// with time at the same moments. It was evaluated for them at an earlier input, or at the moment when
// time alone changed it.
//
// A state that was truncated has forgotten some of that, so then nothing is steady: what found no room
// may find some now.
func (c *evaluation) steady(r *Rule, changed condition.Parts) bool {
	if r.Each != EachParticipant || changed&condition.Life != 0 {
		return false
	}
	was := c.before()
	if !was.exempt || c.mayFindRoom(r) {
		return false
	}
	return c.reading.Steady(r.When, was.reading, changed) &&
		(r.Unless == nil || c.reading.Steady(r.Unless, was.reading, changed))
}

// mayFindRoom reports whether something of the rule may not be in the state although it should be,
// and could be now.
func (c *evaluation) mayFindRoom(r *Rule) bool {
	if !c.state.Truncated || r.ofLeg {
		return false
	}
	return r.elapses() || len(c.state.Stretches) < MaxStretches
}

// before returns the record before the fact.
func (c *evaluation) before() *earlier {
	if c.earlier == nil {
		was := c.vars
		was.Conference, was.Participant = c.vars.Before, nil
		c.earlier = &earlier{
			reading: condition.Read(was),
			others:  c.changedLegs(),
			exempt:  c.set.Exempt.coversRoom(c.vars.Before) == c.set.Exempt.coversRoom(c.vars.Conference),
		}
	}
	return c.earlier
}

// changedLegs returns the legs that the fact added or changed, and those that are no subject: a state
// may still have something of them. Both records have their legs sorted by CallSid.
func (c *evaluation) changedLegs() (changed []*projections.Participant) {
	was := c.vars.Before.Participants
	for _, p := range c.vars.Conference.Participants {
		for len(was) > 0 && strings.Compare(was[0].CallSid, p.CallSid) < 0 {
			was = was[1:]
		}
		if len(was) == 0 || was[0] != p || !c.present(p) {
			changed = append(changed, p)
		}
	}
	return changed
}

// idle reports whether judging a rule for each participant changes nothing: it has nothing in the state,
// and its condition holds for no leg, or what it would begin finds no room.
func (c *evaluation) idle(r *Rule) bool {
	if r.elapses() || c.state.remembers(r.Name) {
		return false
	}
	return c.reading.HoldsForNone(r.When, c.legs()) || c.findsNoRoom(r)
}

// findsNoRoom reports whether nothing of a rule that has nothing in the state can begin, which the state
// records already. Its conditions must have no errors, because each is reported.
func (c *evaluation) findsNoRoom(r *Rule) bool {
	return c.state.Truncated && len(c.state.Stretches) >= MaxStretches &&
		c.reading.HasValues(r.When, c.legs()) && (r.Unless == nil || c.reading.HasValues(r.Unless, c.legs()))
}

// legs returns the legs that are subjects.
func (c *evaluation) legs() []*projections.Participant {
	if c.subjects == nil {
		c.subjects = slices.DeleteFunc(slices.Clone(c.vars.Conference.Participants), func(p *projections.Participant) bool { return !c.present(p) })
	}
	return c.subjects
}

// elapses reports whether time alone can change whether the rule's condition holds.
func (r *Rule) elapses() bool { return r.When.Elapses() || r.Unless != nil && r.Unless.Elapses() }
