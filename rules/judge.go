package rules

import (
	"slices"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// MaxAge is how old a fact may be, and MaxAhead how far ahead of our clock, for
// a rule to act on it without a re-read. Twilio gives up on a callback after 15
// s and a few tries, so an older one is a replay or was delayed by an outage;
// hosts that synchronize by NTP are within seconds of each other.
const (
	MaxAge   = 5 * time.Minute
	MaxAhead = time.Minute
)

// Input is one entry of a conference's lane, as Judge receives it. An input
// with nothing except its time is a wake-up.
type Input struct {
	// ID is the entry's own; it names the occasions that begin with the entry.
	ID string
	// At is when Gavel received the entry.
	At time.Time
	// Fact is the event, if the entry is a new fact: duplicates never reach Judge.
	Fact *events.Event
	// Outcome is how a decision ended.
	Outcome *StepResult
	// Exemption is set if a person exempted the conference. An exemption whose
	// end is not after At lifts the one before it.
	Exemption *ExemptUntil
	// Loaded is set if another set of rules is in force from here on.
	Loaded *Load
	// Reset is a rule that an operator reset, which begins again where it did not end done.
	Reset string
	// Reread is set on the entry that closes a re-read of Twilio. What the
	// re-read found comes before it, as facts.
	Reread bool
}

// wakes reports whether the input is a wake-up.
func (in *Input) wakes() bool {
	return in.Fact == nil && in.Outcome == nil && in.Exemption == nil && in.Loaded == nil && !in.Reread && in.Reset == ""
}

// StepResult is how a decision ended, as its performer recorded it.
type StepResult struct {
	Decision string // its ID
	// Result is events.Done, events.Stale, or another word for a failure. Why is its reason, or empty.
	Result events.Result
	Why    Reason
}

// Judgement is what one input led to.
type Judgement struct {
	State *State // nil if nothing has to be remembered
	// Decisions are in the order they were made.
	Decisions []Decision
	// Wake is when the next wake-up is due if the alarm has to be set or moved, else zero.
	Wake time.Time
	// Faults are conditions and parameters that could not be evaluated.
	Faults []ExpressionFault
}

// ExpressionFault is an expression that could not be evaluated. A faulty `when`
// does not hold; a faulty `unless` exempts.
type ExpressionFault struct {
	Rule string
	In   string // "when", "unless", "target", "count", "parameters"
	// Err is about the expression, and may contain names of people.
	Err error
}

// Judge evaluates the rules for one input. It reads only its arguments and changes none of them:
// the same journal gives the same decisions wherever and whenever it is judged. state is nil for a
// conference that was not judged before; before and after are the record around the input, and are
// the same if the input is not a fact.
//
// Deadlines that are due by the input's time are judged first, each as of its due moment and on the
// record as it was then. So the decisions do not depend on how late a wake-up comes, or how often.
func Judge(set *Set, state *State, before *projections.Conference, in Input, after *projections.Conference) Judgement {
	c := &evaluation{set: set, state: state.copy()}
	now := in.At.UTC()
	if now.Before(c.state.Now) {
		now = c.state.Now
	}
	c.judgeDeadlines(now, before)
	c.state.Now = now
	c.judgeInput(in, before, after)
	wake := c.alarm(in.wakes())
	if c.state.empty() {
		c.state = nil
	}
	return Judgement{c.state, c.decisions, wake, c.faults}
}

// evaluation is one call of Judge or Gate: the state being changed, and what
// the call produced so far.
type evaluation struct {
	set      *Set
	state    *State
	restarts bool // another engine came into force
	vars     condition.Vars
	reading  *condition.Reading // of vars
	room     *bool              // whether the rule files exempt the whole conference; nil if not known yet
	// subjects are the legs that are subjects now; nil if not needed yet
	subjects  []*projections.Participant
	earlier   *earlier // the record before the fact; nil if not needed yet
	cause     cause
	evaluated evaluated
	ended     int // stretches that ended and are not removed yet
	decisions []Decision
	faults    []ExpressionFault
}

// cause is what is being judged: a fact, a deadline, or an action of an operator.
type cause struct {
	// name becomes the name of occasions that begin.
	name string
	// stale: too old, or dated too far in the future, to act on before the state
	// is fetched from Twilio again.
	stale bool
	// late: received after a fact with a greater sequence number. parts are those that it is about.
	late  bool
	parts condition.Parts
}

// judgeDeadlines judges every deadline that is due, on the record before the input.
func (c *evaluation) judgeDeadlines(now time.Time, record *projections.Conference) {
	for record != nil {
		d, armed := c.state.next()
		if !armed || d.Due.After(now) {
			return
		}
		if d.Due.After(c.state.Now) {
			c.state.Now = d.Due
		}
		c.cause = cause{name: "due-" + d.Due.UTC().Format(time.RFC3339Nano)}
		c.setVars(record, nil, record)
		c.judgeDeadline(d)
	}
}

// setVars sets the record, and the event or nil, that conditions are evaluated on.
func (c *evaluation) setVars(before *projections.Conference, e *events.Event, after *projections.Conference) {
	c.vars = condition.Vars{
		Conference: after, Before: before, Event: e,
		Now: c.state.Now, Account: after.AccountSid,
	}
	if e != nil && e.CallSid != "" {
		c.vars.Participant = after.Participant(e.CallSid)
	}
	c.reading, c.room, c.subjects, c.earlier = condition.Read(c.vars), nil, nil, nil
}

// judgeDeadline judges one deadline. If exemptions have ended, it judges their rules; a deadline of
// a rule at the same time stays for the next call. Otherwise it judges the rule of d for its
// subject. If the set no longer has that rule, it removes the rule's state.
func (c *evaluation) judgeDeadline(d Deadline) {
	if ended := c.endExemptions(); len(ended) > 0 {
		c.judgeRules(func(r *Rule) bool { return slices.Contains(ended, "") || slices.Contains(ended, r.Name) })
		return
	}
	r := c.rule(d.Rule)
	if r == nil {
		c.forget(d.Rule, func(string) bool { return true })
		return
	}
	c.judgeSubject(r, c.subject(d.CallSid), true)
}

// endExemptions removes exemptions that have ended, and returns their rules; ""
// stands for all rules.
func (c *evaluation) endExemptions() (ended []string) {
	c.state.Exemptions = slices.DeleteFunc(c.state.Exemptions, func(e ExemptUntil) bool {
		over := !e.Until.After(c.state.Now)
		if over {
			ended = append(ended, e.Rule)
		}
		return over
	})
	return ended
}

// judgeInput judges the input itself.
func (c *evaluation) judgeInput(in Input, before, after *projections.Conference) {
	if after == nil {
		return
	}
	c.cause = cause{name: in.ID}
	if in.Fact != nil {
		c.cause.stale = stale(in.Fact)
		c.cause.late = before.Late(in.Fact.SequenceNumber)
	}
	c.setVars(before, in.Fact, after)
	if in.Loaded != nil {
		c.load(in.Loaded)
	}
	if in.Fact != nil {
		c.judgeFact(in.Fact)
	}
	if after.End != nil {
		c.dropParked()
	}
	if in.Outcome != nil {
		c.judgeActions()
		c.applyResult(*in.Outcome)
	}
	if in.Exemption != nil {
		c.exempt(*in.Exemption)
	}
	if in.Reset != "" {
		c.reset(in.Reset)
	}
	if in.Reread {
		c.reread()
	}
}

// stale reports whether a fact is too old, or too far ahead, to act on without
// a re-read. A fact without a Timestamp counts as stale, because its age is
// unknown. Gavel's own entries are never stale: no callback delayed them.
func stale(e *events.Event) bool {
	if e.Source == events.SourceGavel {
		return false
	}
	age := e.ReceivedAt.Sub(e.OccurredAt)
	return e.OccurredAt.IsZero() || age > MaxAge || age < -MaxAhead
}

// judgeFact judges every rule that the event may affect: rules that the event
// may begin, and rules that are under way.
func (c *evaluation) judgeFact(e *events.Event) {
	changed := condition.Changed(c.vars.Before, c.vars.Conference)
	c.cause.parts = condition.PartsOf(e.Kind) | changed&^condition.Life
	c.dropRejoined(e.CallSid)
	for _, r := range c.set.Rules {
		switch {
		case !c.applies(r):
		case r.PerEvent():
			if r.On.Has(e.Kind) {
				c.judgeEvent(r)
			}
		case c.cause.late || r.written && r.On.Has(e.Kind):
			c.judgeSubjects(r, r.On.Has(e.Kind))
		case changed&c.relevantParts(r) != 0 || c.keepsLeftLeg(r):
			c.judgeChanged(r, r.On.Has(e.Kind), changed)
		}
	}
}

// judgeActions judges the rules whose conditions read what was done, after an action of a rule: it is no
// event, so that a rule about events cannot lead to itself.
func (c *evaluation) judgeActions() {
	for _, r := range c.set.Rules {
		if r.parts&condition.Actions != 0 && c.applies(r) && !r.PerEvent() {
			c.judgeSubjects(r, r.On.Has(events.ActionOutcome))
		}
	}
}

// dropRejoined drops what began for a leg before it left, if it is back now and nothing was judged in
// between: its condition did not hold while it was away.
func (c *evaluation) dropRejoined(callSid string) {
	if callSid == "" || c.vars.Before == nil {
		return
	}
	was, is := c.vars.Before.Participant(callSid), c.vars.Conference.Participant(callSid)
	if was == nil || is == nil || was.Live() || !is.Live() {
		return
	}
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool { return s.CallSid == callSid })
	c.state.Flips = slices.DeleteFunc(c.state.Flips, func(f Flip) bool { return f.CallSid == callSid })
}

// keepsLeftLeg reports whether the state still holds something about a leg that
// left. The leg was a subject for the last time at its leave event.
func (c *evaluation) keepsLeftLeg(r *Rule) bool {
	left := func(callSid string) bool {
		p := c.subject(callSid)
		return p == nil || !c.present(p)
	}
	return r.Each == EachParticipant &&
		(slices.ContainsFunc(c.state.Stretches, func(s Stretch) bool { return s.Rule == r.Name && left(s.CallSid) }) ||
			slices.ContainsFunc(c.state.Flips, func(f Flip) bool { return f.Rule == r.Name && left(f.CallSid) }))
}

// relevantParts returns the parts of the record that decide whether a rule has a subject and
// whether its condition holds. An event that changed none of them can begin and end nothing, unless
// it is late, or the rule's file lists it under `on`.
func (c *evaluation) relevantParts(r *Rule) condition.Parts {
	if c.set.Exempt.any() {
		return r.parts | condition.Name | condition.Labels | condition.Presence
	}
	return r.parts
}

// exempt starts, changes or lifts an exemption of the conference.
func (c *evaluation) exempt(x ExemptUntil) {
	c.state.setExemption(x)
	c.stopLadders(Exempted, func(rule string) bool { return c.state.exempt(rule, c.state.Now) })
	c.judgeRules(func(r *Rule) bool { return x.Rule == "" || r.Name == x.Rule })
}

// reset begins again what a rule did not do, in an occasion that the reset names: it was tripped, or its
// attempts failed.
func (c *evaluation) reset(name string) {
	r := c.rule(name)
	if r == nil {
		return
	}
	for i := range c.state.Stretches {
		s := &c.state.Stretches[i]
		if s.Rule == name && s.Failed && (s.Phase == Over || s.Phase == Resting) {
			c.renew(r, s, c.cause.name)
		}
	}
	if c.vars.Conference.End == nil {
		c.judgeRules(func(r *Rule) bool { return r.Name == name })
	}
}

// alarm returns when the alarm has to ring, or zero if it is set correctly. A conference has one
// alarm. It moves only if it has to ring earlier, or has rung. An alarm whose time is past has rung
// too, but its wake-up is still in the journal ahead, and sets the next alarm when it is judged. If
// that wake-up is lost, the lane's search for overdue deadlines produces another.
func (c *evaluation) alarm(woken bool) time.Time {
	s := c.state
	d, armed := s.next()
	switch {
	case woken && !armed:
		s.Alarm = time.Time{}
	case armed && (woken || s.Alarm.IsZero() || d.Due.Before(s.Alarm)):
		s.Alarm = d.Due
		return d.Due
	}
	return time.Time{}
}

// rule returns a rule that is in force for this conference, or nil.
func (c *evaluation) rule(name string) *Rule {
	if r := c.set.Rule(name); r != nil && c.applies(r) {
		return r
	}
	return nil
}

func (c *evaluation) applies(r *Rule) bool { return r.Mode != Off && c.set.For(c.vars.Account) }

// dropParked drops what is kept of rules that are off or absent: nothing begins again after the end.
func (c *evaluation) dropParked() {
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool { return !s.Parked.IsZero() })
}

// forget drops the state of a rule for those subjects that the rule no longer applies to.
func (c *evaluation) forget(rule string, misfit func(callSid string) bool) {
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool { return s.Rule == rule && misfit(s.CallSid) })
	c.state.Flips = slices.DeleteFunc(c.state.Flips, func(f Flip) bool { return f.Rule == rule && misfit(f.CallSid) })
}
