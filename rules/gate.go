package rules

import (
	"slices"
	"time"

	"gavel/projections"
	"gavel/rules/condition"
)

// MaxStateAge is the greatest age of Twilio's state to act on, counted from when the first request
// for it was sent.
const MaxStateAge = 2 * time.Second

// A leg that rings and is never answered keeps a condition from holding for as long as it rings.
// Twilio's state is fetched again every RingingEvery, until MaxRinging after the decision: dialling
// ends after 10 minutes at most (Twilio, Participant resource: Timeout).
const (
	RingingEvery = 10 * time.Second
	MaxRinging   = 10 * time.Minute
)

// Ruling is what Gate decides about an action at Twilio.
type Ruling struct {
	Passage Passage
	// Why is the reason, empty with Pass.
	Why Reason
	// Until is, with Defer, when the reason will be over; zero if that is unknown.
	Until time.Time
}

// Passage is the kind of a ruling.
type Passage string

// The kinds of rulings.
const (
	// Pass: the action may be sent now.
	Pass Passage = "pass"
	// Defer: not now, but the reason can cease before the action's deadline.
	Defer Passage = "defer"
	// Fetch: Twilio's state has to be fetched again first.
	Fetch Passage = "fetch"
	// Lapse: what the action was decided for is over.
	Lapse Passage = "lapse"
	// Skip: the action is allowed no more, or would do harm.
	Skip Passage = "skip"
)

// The reasons of rulings; RuleChanged and HeldBack are also reasons of refused decisions.
const (
	// IsStopped: rules are stopped, or the stop cannot be read.
	IsStopped Reason = "stopped"
	// RulesUnread: the rules in force cannot be read.
	RulesUnread Reason = "rules"
	// OldState: Twilio's state is older than MaxStateAge.
	OldState Reason = "old-state"
	// Ringing: the condition holds without the legs that are about to join.
	Ringing Reason = "ringing"

	// EndsConference: the leg's leaving would end the conference, which the step does not allow.
	EndsConference Reason = "ends-conference"

	LapsedEnded     Reason = "ended"     // the conference has ended
	LapsedLeft      Reason = "left"      // the leg of the decision, subject or target, is not in the conference
	LapsedRule      Reason = "rule"      // no rule of that name is live for this account
	LapsedExempt    Reason = "exempt"    // a person, or the rule files, exempted the conference or the leg
	LapsedOccasion  Reason = "occasion"  // the condition ceased to hold meanwhile, though it may hold again
	LapsedCondition Reason = "condition" // `when` does not hold, or `unless` does
)

// Case is an action that is about to be sent to Twilio, and everything that Gate reads.
type Case struct {
	Decision *Decision
	// Made is the set that the decision was made by, InForce the one in force now, as NATS's leader
	// has it; nil if none is. InForceUnread: it could not be read.
	Made, InForce *Set
	InForceUnread bool
	// State is the rule state of the conference, as of the decision or later;
	// nil if nothing is remembered.
	State *State
	// Record is the conference as Twilio's REST API reports it. SeenAt is when the first request for
	// that was sent.
	Record *projections.Conference
	SeenAt time.Time
	// Joined is the same without the legs that are queued, connecting or ringing; nil if there are none.
	Joined *projections.Conference
	// Now is our own clock.
	Now time.Time
	// Stopped: rules are stopped, or it is unknown whether they are.
	Stopped bool
}

// Gate is the one place that decides whether an action of a rule may be sent to Twilio, on the rule
// in force and on Twilio's state. The performer asks it after each fetch of that state and again
// right before each call; only the brakes come between the two, because asking them counts.
//
// Conditions are evaluated again for every rule. What they read of an event, and of the record
// before the event, keeps its value from the decision. A decision by an older version does not carry
// that; such a condition counts as it did then, and everything else decides.
func Gate(now Case) Ruling {
	switch {
	case now.Stopped:
		return Ruling{Passage: Defer, Why: IsStopped}
	case now.InForceUnread:
		return Ruling{Passage: Defer, Why: RulesUnread}
	case now.Now.Sub(now.SeenAt) > MaxStateAge:
		return Ruling{Passage: Fetch, Why: OldState}
	case now.Record.End != nil:
		return Ruling{Passage: Lapse, Why: LapsedEnded}
	}
	if why := now.checkRule(); why != "" {
		return Ruling{Passage: Lapse, Why: why}
	}
	switch why := now.lapse(now.Record); {
	case why == "" && now.endsConference():
		return Ruling{Passage: Skip, Why: EndsConference}
	case why == "":
		return now.quiet()
	case now.rings(why):
		return Ruling{Passage: Defer, Why: Ringing, Until: now.Now.Add(RingingEvery)}
	default:
		return Ruling{Passage: Lapse, Why: why}
	}
}

// checkRule checks that the rule in force is live and the one that decided.
func (now *Case) checkRule() Reason {
	d, set := now.Decision, now.InForce
	was := now.Made.Rule(d.Rule)
	switch {
	case was == nil:
		return LapsedRule
	case set == nil || set.Rule(d.Rule) == nil || set.Rule(d.Rule).Version != was.Version:
		return RuleChanged
	case was.Mode != Live, !set.For(d.AccountSid):
		return LapsedRule
	}
	return ""
}

// rings reports whether a decision lapses only because of legs that are about to join.
func (now *Case) rings(why Reason) bool {
	return now.Joined != nil && (why == LapsedCondition || why == LapsedExempt) &&
		now.Now.Sub(now.Decision.AsOf) <= MaxRinging && now.lapse(now.Joined) == ""
}

// endsConference reports whether a kick would end everybody's call against the rule's intention.
func (now *Case) endsConference() bool {
	d := now.Decision
	leg := now.Record.Participant(d.CallSid)
	return d.Do == StepKick && leg != nil && leg.Flags.Value.EndConferenceOnExit && d.Params["ends_conference"] != "true"
}

// quiet defers an action in quiet hours if they end before its deadline, and else skips it.
func (now *Case) quiet() Ruling {
	q := now.InForce.QuietHours
	if !q.At(now.Now) {
		return Ruling{Passage: Pass}
	}
	if until := q.over(now.Now); q.Do == QuietHold && !until.After(now.Decision.AsOf.Add(MaxAge)) {
		return Ruling{Passage: Defer, Why: HeldBack, Until: until}
	}
	return Ruling{Passage: Skip, Why: HeldBack}
}

// lapse returns why what the decision was made for is over by that record, or "".
func (now *Case) lapse(record *projections.Conference) Reason {
	d := now.Decision
	record = record.WithoutAction(d.ID) // its intent must not change what conditions read of actions
	c := &evaluation{set: now.InForce, state: now.State.copy()}
	c.state.Now = later(now.Now.UTC(), d.AsOf)
	c.setVars(record, d.Kept.Event(), record)
	c.reading = condition.Recall(c.vars, d.Kept)
	r, leg := c.set.Rule(d.Rule), c.subject(d.Subject)
	v, present := c.varsFor(leg)
	switch {
	case c.state.exempt(r.Name, c.state.Now):
		return LapsedExempt
	case d.CallSid != "" && !c.isLive(d.CallSid):
		return LapsedLeft
	case d.Redriven == nil && !r.PerEvent() && !c.state.awaits(d):
		return LapsedOccasion // that of a redriven decision may be over
	case d.Subject != "" && (leg == nil || !present && (d.Kept != nil || !r.PerEvent())):
		return LapsedLeft
	case c.covers(v):
		return LapsedExempt
	case !c.holds(r, v), !c.isTarget(r, d):
		return LapsedCondition
	}
	return ""
}

// isTarget reports whether the leg that the decision is for is still a target of its step.
func (c *evaluation) isTarget(r *Rule, d *Decision) bool {
	if d.CallSid == "" || d.Step < 1 || d.Step > len(r.Do) || r.Do[d.Step-1].Target == nil {
		return true
	}
	v, _ := c.varsFor(c.subject(d.CallSid))
	holds, err := c.evaluate(r.Do[d.Step-1].Target, v, &c.evaluated.when) // it held, like when
	return holds && err == nil
}

// isLive reports whether a leg is in the conference.
func (c *evaluation) isLive(callSid string) bool {
	p := c.subject(callSid)
	return p != nil && p.Live()
}

// awaits reports whether a stretch waits for the result of the decision: the
// stretch that led to it, if it has held ever since.
func (s *State) awaits(d *Decision) bool {
	return slices.ContainsFunc(s.Stretches, func(x Stretch) bool { return slices.Contains(x.Awaiting, d.ID) })
}
