package rules

import (
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// Restart judges a conference at the load with which another engine comes into force. It depends on
// nothing that the engine before it made, except exemptions: a picture that is filled from the
// journal has nothing else. Every ladder in progress ends, and a condition that holds begins a new
// stretch. Its time runs from the load.
func Restart(set *Set, state *State, in Input, record *projections.Conference) Judgement {
	c := &evaluation{set: set, state: state.copy(), restarts: true, cause: cause{name: in.ID}}
	c.state.Now = in.At.UTC()
	c.setVars(record, nil, record)
	c.stopLadders(EngineChanged, func(string) bool { return true })
	for _, s := range c.state.Stretches {
		if s.midway() && s.Parked.IsZero() {
			c.refuse(s, "", EngineChanged)
		}
	}
	c.state = &State{Now: c.state.Now, Exemptions: c.state.Exemptions}
	c.endExemptions()
	if record.End == nil {
		c.judgeRules(func(*Rule) bool { return true })
	}
	wake := c.alarm(true)
	if c.state.empty() {
		c.state = nil
	}
	return Judgement{c.state, c.decisions, wake, c.faults}
}

// ExemptUnjudged applies an operator's exemption without judging: the engine that judges is not in force yet.
func ExemptUnjudged(state *State, x ExemptUntil, at time.Time) *State {
	s := state.copy()
	s.Now = later(s.Now, at.UTC())
	s.setExemption(x)
	if s.empty() {
		return nil
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// setExemption replaces the exemption from the same rule, or lifts it if x has ended.
func (s *State) setExemption(x ExemptUntil) {
	all := slices.DeleteFunc(s.Exemptions, func(e ExemptUntil) bool { return e.Rule == x.Rule })
	if x.Until.After(s.Now) {
		all = append(all, ExemptUntil{x.Rule, x.Until.UTC()})
	}
	slices.SortFunc(all, func(a, b ExemptUntil) int { return strings.Compare(a.Rule, b.Rule) })
	s.Exemptions = all
}

// resumeWith prepares a stretch that begins because another engine came into force. What a rule
// counts was counted by the engine before: a second match could complete the count twice.
func (c *evaluation) resumeWith(r *Rule, s *Stretch) {
	s.Turned = c.turnedTrue(r, s.CallSid)
	if r.Count != nil {
		s.Step, s.Phase, s.Due = s.Of, Over, time.Time{}
	}
}

// clockMargin is how far Twilio's clock, which dates turns, may be ahead of ours, which dates
// actions: hosts synchronized by NTP are within a second, and both are kept in whole seconds.
const clockMargin = 5 * time.Second

// turnedTrue returns since when a condition that holds now has held, from the record alone: it goes
// back through the changes of legs until it meets one before which the condition did not hold. It
// does not go back further than the rule's first action, because only actions depend on it.
func (c *evaluation) turnedTrue(r *Rule, callSid string) time.Time {
	first := c.state.Now
	for _, a := range c.vars.Conference.Actions {
		if at := a.At.Time(); a.Actor.Rule == r.Name && at.Before(first) {
			first = at
		}
	}
	if first.Equal(c.state.Now) {
		return first
	}
	for _, t := range c.vars.Conference.Changes(projections.At(first)) {
		if !c.held(r, callSid, c.vars.Conference.Before(t), t.At.Time()) {
			return t.At.Time().Add(-clockMargin)
		}
	}
	return first
}

// held reports whether the condition of a rule held on an earlier record.
func (c *evaluation) held(r *Rule, callSid string, was *projections.Conference, at time.Time) bool {
	v := condition.Vars{Conference: was, Before: was, Now: at, Account: c.vars.Account}
	if callSid != "" {
		if v.Participant = was.Participant(callSid); v.Participant == nil || !v.Participant.Live() {
			return false
		}
	}
	holds, err := r.When.Holds(v)
	if err != nil || !holds || r.Unless == nil {
		return err == nil && holds
	}
	exempt, err := r.Unless.Holds(v)
	return err == nil && !exempt
}

// shownDone reports whether the record shows that an engine before this one did a step, so that a
// stretch that began with this engine does not repeat it. The nth announcement of a ladder is done
// if the record has n of them.
func (c *evaluation) shownDone(r *Rule, s *Stretch, d *Decision) bool {
	if s.Turned.IsZero() || s.Attempt > 1 || d.Verdict != Act {
		return false
	}
	n, done := 0, 0
	for i := range r.Do[:d.Step] {
		if r.Do[i].Kind == d.Do {
			n++
		}
	}
	for _, a := range c.vars.Conference.Actions {
		if a.Actor.Rule == r.Name && a.CallSid == d.CallSid && d.Do.shows(a) && !a.At.Time().Before(s.Turned.Truncate(time.Second)) {
			done++
		}
	}
	return done >= n
}

// shows reports whether an action in the record is a step of this kind that ended done.
func (k StepKind) shows(a *projections.ActionRecord) bool {
	flag := ""
	switch k {
	case StepMute:
		flag = "Muted=true"
	case StepUnmute:
		flag = "Muted=false"
	case StepHold:
		flag = "Hold=true"
	case StepUnhold:
		flag = "Hold=false"
	}
	return a.Do == k.Action() && a.Outcome != nil && a.Outcome.Result == events.Done && strings.Contains(a.Asked, flag)
}

// Action returns the kind of the action that performs a step.
func (k StepKind) Action() events.Do {
	switch k {
	case StepMute, StepUnmute, StepHold, StepUnhold, StepSet:
		return events.DoUpdateParticipant
	}
	return events.Do(k)
}
