package rules

import (
	"errors"
	"slices"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// lookAtAll looks at every rule that is meant, whatever it is for.
func (c *court) lookAtAll(meant func(*Rule) bool) {
	for _, r := range c.set.Rules {
		if c.applies(r) && !r.PerEvent() && meant(r) {
			c.lookAtEach(r, true)
		}
	}
}

// lookAtEach looks at a rule for each of its subjects. begins says whether a
// stretch may begin; what is under way is looked at in any case.
func (c *court) lookAtEach(r *Rule, begins bool) {
	if !begins && !c.state.remembers(r.Name) {
		return
	}
	if r.Each != EachParticipant {
		c.look(r, nil, begins)
		return
	}
	for _, p := range c.vars.Conference.Participants {
		c.look(r, p, begins)
	}
}

// lookAtChanged looks at a rule after an event that changed some parts of the
// record. Where nothing but the leg itself decides whether the condition holds for
// it, the others are left alone.
func (c *court) lookAtChanged(r *Rule, begins bool, changed condition.Parts) {
	if !r.ofLeg || changed&condition.Life != 0 || c.set.Exempt.any() {
		c.lookAtEach(r, begins)
		return
	}
	for i, p := range c.vars.Conference.Participants {
		if p != c.vars.Before.Participants[i] || !c.present(p) {
			c.look(r, p, begins)
		}
	}
}

// look is the heart of it: does the rule's condition hold for the subject now,
// and what follows from that. p is nil for the conference as a whole.
func (c *court) look(r *Rule, p *projections.Participant, begins bool) {
	callSid := callSidOf(p)
	at, there := c.state.stretch(r.Name, callSid)
	v, present := c.varsFor(p)
	if !there && (!present || !begins) && !c.state.armed(r.Name, callSid) {
		return
	}
	c.read = readings{}
	switch holds := present && c.holds(r, v); {
	case !holds && there:
		c.end(r, at)
	case holds && there:
		c.hearLate(r, &c.state.Stretches[at])
	case holds && begins && (p == nil || p.Live() || !r.actsOnSubject()):
		c.begin(r, callSid, at)
	}
	if at, there = c.state.stretch(r.Name, callSid); there {
		c.goOn(r, &c.state.Stretches[at], v)
	}
	c.armFlips(r, callSid, v, present)
}

// actsOnSubject reports whether the rule asks Twilio to do something to its
// subject: with a leg that leaves, nothing can be begun any more.
func (r *Rule) actsOnSubject() bool {
	for _, s := range r.Do {
		if r.Each == EachParticipant && s.To == EachParticipant && s.Target == nil && s.Kind.AtTwilio() {
			return true
		}
	}
	return false
}

// varsFor returns what a rule reads about a subject, and whether that is one.
func (c *court) varsFor(p *projections.Participant) (v condition.Vars, present bool) {
	v = c.vars
	if p == nil {
		return v, true
	}
	v.Participant = p
	return v, c.present(p)
}

// present reports whether a leg is a subject: a live one, or the one whose
// leaving is told.
func (c *court) present(p *projections.Participant) bool {
	e := c.vars.Event
	leaves := e != nil && e.Kind == events.ParticipantLeave && e.CallSid == p.CallSid
	return leaves || c.vars.Conference.End == nil && p.Live()
}

// subject returns the leg of that CallSid, or nil for the conference.
func (c *court) subject(callSid string) *projections.Participant {
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
// subject. Where a conference has ended, nothing can be done to it at Twilio.
func (c *court) holds(r *Rule, v condition.Vars) bool {
	if c.state.exempt(r.Name, c.state.Now) || c.set.Exempt.covers(v) || r.AtTwilio() && v.Conference.End != nil {
		return false
	}
	holds, err := c.evaluate(r.When, v, &c.read.when)
	c.fault(r, "when", err)
	if err != nil || !holds || r.Unless == nil {
		return err == nil && holds
	}
	exempt, err := c.evaluate(r.Unless, v, &c.read.unless)
	c.fault(r, "unless", err)
	return err == nil && !exempt
}

// any reports whether the rule file keeps its rules off anything.
func (x Exempt) any() bool { return len(x.Names)+len(x.Labels) > 0 }

// covers reports whether the rule file keeps its rules off the subject.
func (x Exempt) covers(v condition.Vars) bool {
	like := func(text string) func(string) bool {
		return func(pattern string) bool { return condition.Like(pattern, text) }
	}
	if slices.ContainsFunc(x.Names, like(v.Conference.FriendlyName.Value)) {
		return true
	}
	if len(x.Labels) == 0 {
		return false
	}
	labelled := func(p *projections.Participant) bool {
		return p.Label.Value != "" && slices.ContainsFunc(x.Labels, like(p.Label.Value))
	}
	return v.Participant != nil && labelled(v.Participant) || slices.ContainsFunc(v.Conference.Live(), labelled)
}

func (c *court) fault(r *Rule, in string, err error) {
	if err != nil {
		c.faults = append(c.faults, ExpressionFault{r.Name, in, err})
	}
}

// begin opens a stretch, and with it an occasion named by what is being judged.
func (c *court) begin(r *Rule, callSid string, at int) {
	if len(c.state.Stretches) >= MaxStretches {
		c.state.Truncated = true
		return
	}
	c.state.Stretches = slices.Insert(c.state.Stretches, at, Stretch{
		Rule: r.Name, CallSid: callSid, Occasion: c.cause.name, Stale: c.cause.stale,
		Since: c.state.Now, Phase: Running, Due: c.state.Now.Add(r.For), Attempt: 1, Of: len(r.Do),
	})
}

// end closes a stretch. That its ladder stops is worth a word only where a
// person stopped it: whether the condition holds can be seen from the journal.
func (c *court) end(r *Rule, at int) {
	s := c.state.Stretches[at]
	if s.midway() && c.state.exempt(r.Name, c.state.Now) {
		c.refuse(s, r.Do[s.Step].Kind, Exempted)
	}
	c.state.Stretches = slices.Delete(c.state.Stretches, at, at+1)
}

// hearLate begins a running `for` anew where a fact belongs before others: the
// condition may not have held all the time. After a decision it changes nothing.
func (c *court) hearLate(r *Rule, s *Stretch) {
	e := c.vars.Event
	if !c.cause.late || e.Kind.Speech() && !r.On.Has(e.Kind) {
		return
	}
	if s.Phase == Running {
		c.restart(r, s)
		return
	}
	s.TooLate++
}

// restart lets the rule's `for` run from now on.
func (c *court) restart(r *Rule, s *Stretch) {
	s.Phase, s.Step, s.Of = Running, 0, len(r.Do)
	s.Since, s.Due = c.state.Now, c.state.Now.Add(r.For)
	s.Awaiting, s.Failed = nil, false
}

// armFlips sets the moment at which time alone may turn the condition. What was
// not evaluated in this look is for that; an error is no reason to forget it.
func (c *court) armFlips(r *Rule, callSid string, v condition.Vars, present bool) {
	if present && !c.read.when && r.When.Elapses() {
		_, _ = c.evaluate(r.When, v, &c.read.when)
	}
	if present && !c.read.unless && r.Unless != nil && r.Unless.Elapses() {
		_, _ = c.evaluate(r.Unless, v, &c.read.unless)
	}
	c.state.arm(r.Name, callSid, c.read.flip)
}

// readings are which of a rule's conditions were evaluated in one look, and when
// time alone may turn the first of them.
type readings struct {
	when, unless bool
	flip         time.Time
}

// evaluate evaluates a condition and notes when time alone may turn it.
func (c *court) evaluate(cond *condition.Condition, v condition.Vars, read *bool) (bool, error) {
	holds, flip, err := c.reading.HoldsUntil(cond, v.Participant)
	*read = true
	if errors.Is(err, condition.ErrNotKept) {
		holds, err = read == &c.read.when, nil // as it was when the decision was taken
	}
	if !flip.IsZero() && (c.read.flip.IsZero() || flip.Before(c.read.flip)) {
		c.read.flip = flip
	}
	return holds, err
}

// reread begins anew what was too old to act on, now that Twilio was asked: the
// old occasions end, and where the condition still holds new ones begin.
func (c *court) reread() {
	var again []string
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool {
		if s.Phase == Unsure {
			again = append(again, s.Rule)
		}
		return s.Phase == Unsure
	})
	c.lookAtAll(func(r *Rule) bool { return slices.Contains(again, r.Name) })
}
