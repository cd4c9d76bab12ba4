package rules

import (
	"errors"
	"slices"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// judgeRules judges every selected rule, whatever events it is about.
func (c *evaluation) judgeRules(meant func(*Rule) bool) {
	for _, r := range c.set.Rules {
		if c.applies(r) && !r.PerEvent() && meant(r) {
			c.judgeSubjects(r, true)
		}
	}
}

// judgeSubjects judges a rule for each of its subjects. begins states whether a
// stretch may begin; stretches that are under way are judged in any case.
func (c *evaluation) judgeSubjects(r *Rule, begins bool) {
	if !begins && !c.state.remembers(r.Name) {
		return
	}
	if r.Each != EachParticipant {
		c.judgeSubject(r, nil, begins)
		return
	}
	if c.idle(r) {
		return
	}
	for _, p := range c.vars.Conference.Participants {
		c.judgeLeg(r, p, begins)
	}
	c.removeEnded()
}

// judgeChanged judges a rule after an event that changed some parts of the record. If the condition
// has changed only for the legs that did, the others are skipped.
func (c *evaluation) judgeChanged(r *Rule, begins bool, changed condition.Parts) {
	if !c.steady(r, changed) {
		c.judgeSubjects(r, begins)
		return
	}
	for _, p := range c.earlier.others {
		c.judgeLeg(r, p, begins)
	}
	c.removeEnded()
}

// judgeSubject judges a rule for one subject.
func (c *evaluation) judgeSubject(r *Rule, p *projections.Participant, begins bool) {
	c.judgeLeg(r, p, begins)
	c.removeEnded()
}

// judgeLeg is the core of Judge: it evaluates whether the rule's condition holds for the
// subject now, and begins, continues or ends the stretch. p is nil for the conference as a whole.
// Stretches that ended are removed by removeEnded, before another rule is judged.
func (c *evaluation) judgeLeg(r *Rule, p *projections.Participant, begins bool) {
	callSid := callSidOf(p)
	at, there := c.state.stretch(r.Name, callSid)
	v, present := c.varsFor(p)
	if !there && (!present || !begins) && !c.state.armed(r.Name, callSid) {
		return
	}
	c.evaluated = evaluated{}
	switch holds := present && c.holds(r, v); {
	case !holds && there:
		c.end(r, at)
	case holds && there:
		c.handleLate(r, &c.state.Stretches[at])
	case holds && begins && (p == nil || p.Live() || !r.actsOnSubject()):
		c.begin(r, callSid, at)
	}
	if c.state.isAt(at, r.Name, callSid) && !c.state.Stretches[at].ended {
		c.resume(r, &c.state.Stretches[at], v)
	}
	c.armFlips(r, callSid, v, present)
}

// actsOnSubject reports whether a step acts on the rule's own subject at
// Twilio. Such a rule cannot begin for a leg that has left.
func (r *Rule) actsOnSubject() bool {
	return r.Each == EachParticipant && slices.ContainsFunc(r.Do, func(s Step) bool {
		return s.To == EachParticipant && s.Target == nil && s.Kind.AtTwilio()
	})
}

// varsFor returns the variables of a rule for a subject, and whether p is a subject.
func (c *evaluation) varsFor(p *projections.Participant) (v condition.Vars, present bool) {
	v = c.vars
	if p == nil {
		return v, true
	}
	v.Participant = p
	return v, c.present(p)
}

// present reports whether a leg is a subject: a live one, or the one whose
// leave event is being judged.
func (c *evaluation) present(p *projections.Participant) bool {
	e := c.vars.Event
	leaves := e != nil && e.Kind == events.ParticipantLeave && e.CallSid == p.CallSid
	return leaves || c.vars.Conference.End == nil && p.Live()
}

// subject returns the leg with that CallSid, or nil for the conference.
func (c *evaluation) subject(callSid string) *projections.Participant {
	if callSid == "" {
		return nil
	}
	return c.vars.Conference.Participant(callSid)
}

func callSidOf(p *projections.Participant) string {
	if p == nil {
		return ""
	}
	return p.CallSid
}

// holds reports whether the rule's condition holds and nothing exempts the
// subject. After the end of a conference, no rule that acts at Twilio holds.
func (c *evaluation) holds(r *Rule, v condition.Vars) bool {
	if c.state.exempt(r.Name, c.state.Now) || c.covers(v) || r.AtTwilio() && v.Conference.End != nil {
		return false
	}
	holds, err := c.evaluate(r.When, v, &c.evaluated.when)
	c.fault(r, "when", err)
	if err != nil || !holds || r.Unless == nil {
		return err == nil && holds
	}
	exempt, err := c.evaluate(r.Unless, v, &c.evaluated.unless)
	c.fault(r, "unless", err)
	return err == nil && !exempt
}

// any reports whether the rule files exempt anything.
func (x Exempt) any() bool { return len(x.Names)+len(x.Labels) > 0 }

// covers reports whether the rule files exempt the subject. What they say of the room is found once,
// because it depends on all of its legs.
func (c *evaluation) covers(v condition.Vars) bool {
	if !c.set.Exempt.any() {
		return false
	}
	if c.room == nil {
		covered := c.set.Exempt.coversRoom(v.Conference)
		c.room = &covered
	}
	return *c.room || v.Participant != nil && c.set.Exempt.coversLeg(v.Participant)
}

// coversRoom reports whether the rule files exempt a conference: by its name, or by a live leg.
func (x Exempt) coversRoom(record *projections.Conference) bool {
	return matchesAny(x.Names, record.FriendlyName.Value) ||
		len(x.Labels) > 0 && slices.ContainsFunc(record.Live(), x.coversLeg)
}

func (x Exempt) coversLeg(p *projections.Participant) bool {
	return p.Label.Value != "" && matchesAny(x.Labels, p.Label.Value)
}

func matchesAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return condition.Like(pattern, text) })
}

func (c *evaluation) fault(r *Rule, in string, err error) {
	if err != nil {
		c.faults = append(c.faults, ExpressionFault{r.Name, in, err})
	}
}

// begin opens a stretch, and with it an occasion that has the name of the cause.
func (c *evaluation) begin(r *Rule, callSid string, at int) {
	if len(c.state.Stretches)-c.ended >= MaxStretches {
		c.state.Truncated = true
		return
	}
	c.state.Stretches = slices.Insert(doubled(c.state.Stretches), at, Stretch{
		Rule: r.Name, Version: r.Version, CallSid: callSid, Occasion: c.cause.name, Stale: c.cause.stale,
		Since: c.state.Now, Phase: Running, Due: c.state.Now.Add(r.For), Attempt: 1, Of: len(r.Do),
	})
	if c.restarts {
		c.resumeWith(r, &c.state.Stretches[at])
	}
}

// doubled returns a list with room for one more, twice as long if it was full: for the elements of Judge,
// which are large, append copies more often.
func doubled[T any](list []T) []T {
	if len(list) < cap(list) {
		return list
	}
	return slices.Grow(list, max(1, len(list)))
}

// end closes a stretch. A decision records that its ladder stopped only if a person stopped it;
// whether the condition holds can be derived from the journal.
func (c *evaluation) end(r *Rule, at int) {
	s := c.state.Stretches[at]
	if s.midway() && c.state.exempt(r.Name, c.state.Now) {
		c.refuse(s, r.Do[s.Step].Kind, Exempted)
	}
	c.state.Stretches[at].ended = true
	c.ended++
}

// removeEnded removes the stretches that ended. One by one, those of a full room would move each other
// a thousand times.
func (c *evaluation) removeEnded() {
	if c.ended > 0 {
		c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool { return s.ended })
		c.ended = 0
	}
}

// handleLate restarts a running `for` if the fact belongs before others and is about what the condition
// reads: it may not have held all the time. After a decision, the late fact is only counted.
func (c *evaluation) handleLate(r *Rule, s *Stretch) {
	if !c.cause.late || c.cause.parts&c.relevantParts(r) == 0 || r.ofLeg && c.vars.Event.CallSid != s.CallSid {
		return
	}
	if s.Phase == Running {
		c.restart(r, s)
		return
	}
	s.TooLate++
}

// restart starts the rule's `for` again from now.
func (c *evaluation) restart(r *Rule, s *Stretch) {
	s.Phase, s.Step, s.Of = Running, 0, len(r.Do)
	s.Since, s.Due = c.state.Now, c.state.Now.Add(r.For)
	s.Awaiting, s.Failed = nil, false
}

// armFlips sets the moment when time alone may change the condition. A condition that judgeSubject
// did not need to evaluate is evaluated here for that moment; an error does not clear it.
func (c *evaluation) armFlips(r *Rule, callSid string, v condition.Vars, present bool) {
	if present && !c.evaluated.when && r.When.Elapses() {
		_, _ = c.evaluate(r.When, v, &c.evaluated.when)
	}
	if present && !c.evaluated.unless && r.Unless != nil && r.Unless.Elapses() {
		_, _ = c.evaluate(r.Unless, v, &c.evaluated.unless)
	}
	c.state.arm(r.Name, callSid, c.evaluated.flip)
}

// evaluated states which conditions of a rule were evaluated for a subject, and
// when time alone may first change one of them.
type evaluated struct {
	when, unless bool
	flip         time.Time
}

// evaluate evaluates a condition and records when time alone may change it.
func (c *evaluation) evaluate(cond *condition.Condition, v condition.Vars, read *bool) (bool, error) {
	holds, flip, err := c.reading.HoldsUntil(cond, v.Participant)
	*read = true
	if errors.Is(err, condition.ErrNotKept) {
		holds, err = read == &c.evaluated.when, nil // as it was when the decision was made
	}
	if !flip.IsZero() && (c.evaluated.flip.IsZero() || flip.Before(c.evaluated.flip)) {
		c.evaluated.flip = flip
	}
	return holds, err
}

// reread restarts what was too old to act on, now that the conference was fetched from Twilio: the
// old occasions end, and new ones begin if the condition still holds.
func (c *evaluation) reread() {
	var again []string
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool {
		if s.Phase == Unsure {
			again = append(again, s.Rule)
		}
		return s.Phase == Unsure
	})
	c.judgeRules(func(r *Rule) bool { return slices.Contains(again, r.Name) })
}
