package rules

import (
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// How old a fact may be, and how far ahead of our clock, for a rule to act on it
// unseen. Twilio gives up on a callback after 15 s and a few tries, so an older
// one is a replay or comes out of an outage; hosts that keep time by NTP are
// within seconds.
const (
	MaxAge   = 5 * time.Minute
	MaxAhead = time.Minute
)

// Input is one entry of a conference's lane, as Judge meets it. One that says
// nothing but its time is a wake-up.
type Input struct {
	// ID is the entry's own; it names the occasions that begin with it.
	ID string
	// At is when we received it.
	At time.Time
	// Fact is the event, if the entry is one and it was fresh: doubles never
	// reach Judge.
	Fact *events.Event
	// Outcome is how a decision ended.
	Outcome *StepResult
	// Exemption is what a person said. One that is over by At lifts the one
	// before it.
	Exemption *ExemptUntil
	// Loaded is set where the set of rules is another from here on.
	Loaded *Load
	// Reread is set on the entry that closes a re-read of Twilio: what it found
	// was told before it, as facts.
	Reread bool
}

// wakes reports whether the input is a wake-up.
func (in *Input) wakes() bool {
	return in.Fact == nil && in.Outcome == nil && in.Exemption == nil && in.Loaded == nil && !in.Reread
}

// StepResult is how a decision ended, as its performer wrote it down.
type StepResult struct {
	Decision string // its ID
	// Result is events.Done, events.Stale, or another word for what failed.
	Result events.Result
}

// Judgement is what one input led to.
type Judgement struct {
	State *State // nil where nothing is left to remember
	// Decisions are in the order in which they were taken.
	Decisions []Decision
	// Wake is when to be woken, if the alarm has to be set anew, else zero.
	Wake time.Time
	// Faults are conditions and parameters that could not be evaluated.
	Faults []ExpressionFault
}

// ExpressionFault is one that could not be evaluated. In `when` it does not
// hold then; in `unless` it exempts.
type ExpressionFault struct {
	Rule string
	In   string // "when", "unless", "target", "count", "parameters"
	// Err is about the expression, and may quote what people are called.
	Err error
}

// Judge holds one input against the rules. It reads nothing but its arguments
// and changes none of them: the same journal gives the same decisions wherever
// and whenever it is judged. state is nil for a conference not judged before;
// before and after are the record around the input, and the same where it is
// no fact.
//
// Deadlines that are due by the input's time are judged first, each as of its
// due moment and on the record as it was then. So it does not matter how late
// a wake-up comes, or how often.
func Judge(set *Set, state *State, before *projections.Conference, in Input, after *projections.Conference) Judgement {
	c := &court{set: set, state: state.copy()}
	now := in.At.UTC()
	if now.Before(c.state.Now) {
		now = c.state.Now
	}
	c.lapseUntil(now, before)
	c.state.Now = now
	c.hear(in, before, after)
	wake := c.alarm(in.wakes())
	if c.state.empty() {
		c.state = nil
	}
	return Judgement{c.state, c.decisions, wake, c.faults}
}

// court is one sitting: the state being changed, and what came of it.
type court struct {
	set       *Set
	state     *State
	vars      condition.Vars
	reading   *condition.Reading // of vars
	cause     cause
	read      readings
	decisions []Decision
	faults    []ExpressionFault
}

// cause is what is being judged: a fact, a deadline, or what persons did.
type cause struct {
	// name becomes the name of occasions that begin.
	name string
	// stale: too old, or from the future, to act on it unseen.
	stale bool
	// late: told after a later one.
	late bool
}

// lapseUntil judges every deadline that is due, on the record before the input.
func (c *court) lapseUntil(now time.Time, record *projections.Conference) {
	for record != nil {
		d, armed := c.state.next()
		if !armed || d.Due.After(now) {
			return
		}
		if d.Due.After(c.state.Now) {
			c.state.Now = d.Due
		}
		c.cause = cause{name: "due-" + d.Due.UTC().Format(time.RFC3339Nano)}
		c.open(record, nil, record)
		c.lapse(d)
	}
}

// open lays the record on the table.
func (c *court) open(before *projections.Conference, e *events.Event, after *projections.Conference) {
	c.vars = condition.Vars{
		Conference: after, Before: before, Event: e,
		Now: c.state.Now, Account: after.AccountSid,
	}
	if e != nil && e.CallSid != "" {
		c.vars.Participant = after.Participant(e.CallSid)
	}
	c.reading = condition.Read(c.vars)
}

// lapse judges one deadline.
func (c *court) lapse(d Deadline) {
	if ended := c.endExemptions(); len(ended) > 0 {
		c.lookAtAll(func(r *Rule) bool { return slices.Contains(ended, "") || slices.Contains(ended, r.Name) })
		return
	}
	r := c.rule(d.Rule)
	if r == nil {
		c.forget(d.Rule, func(string) bool { return true })
		return
	}
	c.look(r, c.subject(d.CallSid), true)
}

// endExemptions takes out those that are over, and returns their rules.
func (c *court) endExemptions() (ended []string) {
	c.state.Exemptions = slices.DeleteFunc(c.state.Exemptions, func(e ExemptUntil) bool {
		over := !e.Until.After(c.state.Now)
		if over {
			ended = append(ended, e.Rule)
		}
		return over
	})
	return ended
}

// hear judges the input itself.
func (c *court) hear(in Input, before, after *projections.Conference) {
	if after == nil {
		return
	}
	c.cause = cause{name: in.ID}
	if in.Fact != nil {
		c.cause.stale = stale(in.Fact)
		c.cause.late = before.Late(in.Fact.SequenceNumber)
	}
	c.open(before, in.Fact, after)
	if in.Loaded != nil {
		c.load(in.Loaded)
	}
	if in.Fact != nil {
		c.hearFact(in.Fact)
	}
	if in.Outcome != nil {
		c.settle(*in.Outcome)
	}
	if in.Exemption != nil {
		c.exempt(*in.Exemption)
	}
	if in.Reread {
		c.reread()
	}
}

// stale reports whether a fact is too old, or too far ahead, to act on it
// unseen. One without a Timestamp cannot be shown to be neither; entries of our
// own were never on the way.
func stale(e *events.Event) bool {
	if e.Source == events.SourceGavel {
		return false
	}
	age := e.ReceivedAt.Sub(e.OccurredAt)
	return e.OccurredAt.IsZero() || age > MaxAge || age < -MaxAhead
}

// hearFact looks at every rule that the event may concern: those it may begin,
// and those that run.
func (c *court) hearFact(e *events.Event) {
	changed := condition.Changed(c.vars.Before, c.vars.Conference)
	for _, r := range c.set.Rules {
		switch {
		case !c.applies(r):
		case r.PerEvent():
			if r.On.Has(e.Kind) {
				c.lookAtEvent(r)
			}
		case c.cause.late || r.written && r.On.Has(e.Kind):
			c.lookAtEach(r, r.On.Has(e.Kind))
		case changed&c.decides(r) != 0 || c.lingers(r):
			c.lookAtChanged(r, r.On.Has(e.Kind), changed)
		}
	}
}

// lingers reports whether something is kept of a leg that left: it was a subject
// for the last time when its leaving was told.
func (c *court) lingers(r *Rule) bool {
	left := func(callSid string) bool {
		p := c.subject(callSid)
		return p == nil || !c.present(p)
	}
	return r.Each == EachParticipant &&
		(slices.ContainsFunc(c.state.Stretches, func(s Stretch) bool { return s.Rule == r.Name && left(s.CallSid) }) ||
			slices.ContainsFunc(c.state.Flips, func(f Flip) bool { return f.Rule == r.Name && left(f.CallSid) }))
}

// decides returns the parts of the record that decide whether a rule looks at a
// subject and whether its condition holds. An event that changed none of them
// can begin and end nothing, unless it is late, or the file says that it begins.
func (c *court) decides(r *Rule) condition.Parts {
	if c.set.Exempt.any() {
		return r.parts | condition.Name | condition.Labels | condition.Presence
	}
	return r.parts
}

// exempt keeps rules off the conference, or lets them in again.
func (c *court) exempt(x ExemptUntil) {
	if x.Rule != "" && c.rule(x.Rule) == nil {
		return
	}
	all := slices.DeleteFunc(c.state.Exemptions, func(e ExemptUntil) bool { return e.Rule == x.Rule })
	if x.Until.After(c.state.Now) {
		all = append(all, ExemptUntil{x.Rule, x.Until.UTC()})
	}
	slices.SortFunc(all, func(a, b ExemptUntil) int { return strings.Compare(a.Rule, b.Rule) })
	c.state.Exemptions = all
	c.stopLadders(Exempted, func(rule string) bool { return c.state.exempt(rule, c.state.Now) })
	c.lookAtAll(func(r *Rule) bool { return x.Rule == "" || r.Name == x.Rule })
}

// alarm returns for when to set the alarm, or zero where it is set right. There
// is one for each conference, and it only moves when it has to ring earlier, or
// has rung. One whose time is past has rung as well, but its wake-up is still on
// its way through the journal, and will set the next. Were it lost, the lane's
// look at what is overdue would bring another.
func (c *court) alarm(woken bool) time.Time {
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
func (c *court) rule(name string) *Rule {
	if r := c.set.Rule(name); r != nil && c.applies(r) {
		return r
	}
	return nil
}

func (c *court) applies(r *Rule) bool { return r.Mode != Off && c.set.For(c.vars.Account) }

// forget drops what is kept of a rule about those subjects that do not fit it
// any more.
func (c *court) forget(rule string, misfit func(callSid string) bool) {
	c.state.Stretches = slices.DeleteFunc(c.state.Stretches, func(s Stretch) bool { return s.Rule == rule && misfit(s.CallSid) })
	c.state.Flips = slices.DeleteFunc(c.state.Flips, func(f Flip) bool { return f.Rule == rule && misfit(f.CallSid) })
}
