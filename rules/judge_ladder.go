package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// resume continues the ladder of a stretch that is due.
func (c *evaluation) resume(r *Rule, s *Stretch, v condition.Vars) {
	if s.Due.IsZero() || s.Due.After(c.state.Now) {
		return
	}
	s.Due = time.Time{}
	switch s.Phase {
	case Acting: // its result came while the rule was parked
		c.stepEnded(r, s, v)
		return
	case Reloading:
		c.redo(r, s, v)
		return
	case Resting:
		s.Attempt++
		s.Step, s.Of = 0, len(r.Do)
	}
	c.runSteps(r, s, v)
}

// runSteps decides the steps after s.Step, up to one that the ladder has to wait for.
func (c *evaluation) runSteps(r *Rule, s *Stretch, v condition.Vars) {
	if r.Count != nil {
		c.match(r, v, s.occasion())
		s.Step, s.Phase = s.Of, Over
		return
	}
	for s.Step < min(s.Of, len(r.Do)) {
		step := &r.Do[s.Step]
		if until := c.heldUntil(r, step.Kind); !until.IsZero() {
			if s.Step > 0 {
				c.refuse(*s, step.Kind, HeldBack)
			}
			c.hold(r, s, until)
			return
		}
		s.Step++
		if step.Kind == StepWait {
			s.Phase, s.Due = Waiting, c.state.Now.Add(step.Wait)
			return
		}
		if c.decideStep(r, s, v); s.Phase != Running {
			return
		}
	}
	s.Phase = Over
}

// hold lets a ladder begin at its first step when the quiet hours are over. What an earlier step
// announced no longer counts then.
func (c *evaluation) hold(r *Rule, s *Stretch, until time.Time) {
	if s.Step > 0 {
		s.Attempt++
		s.Redone++
	}
	s.Step, s.Of, s.Redo, s.Quiet = 0, len(r.Do), 0, false
	s.Phase, s.Due = Held, until
}

// decideStep decides the step that s is at. If s is Running afterwards, the
// ladder may continue at once: the performer got nothing to do.
func (c *evaluation) decideStep(r *Rule, s *Stretch, v condition.Vars) {
	s.Phase, s.Awaiting, s.Failed, s.Undone = Running, nil, false, false
	for _, d := range c.decide(r, s.Step, v, s.occasion()) {
		if c.shownDone(r, s, &d) || c.doneBefore(s, d) {
			continue
		}
		c.decisions = append(doubled(c.decisions), d)
		switch {
		case d.Verdict == Act:
			s.Awaiting, s.Acted, s.Phase = append(s.Awaiting, d.ID), true, Acting
		case d.Reason == Stale:
			s.Phase = Unsure
		case d.Verdict == Refused:
			s.Failed = true
		}
	}
	if s.Phase == Running && s.Failed && !r.continues(s.Step) {
		c.endAttempt(r, s)
	}
}

// endAttempt ends an attempt that did not end done, and schedules the next one.
func (c *evaluation) endAttempt(r *Rule, s *Stretch) {
	s.Phase = Over
	if r.Again > 0 && s.Attempt-s.Redone < r.Attempts {
		s.Phase, s.Due = Resting, c.state.Now.Add(r.Again)
	}
}

// continues reports whether the ladder continues after that step failed.
func (r *Rule) continues(step int) bool {
	return step >= 1 && step <= len(r.Do) && r.Do[step-1].OnFailure == Continue
}

// applyResult records how a decision ended, and continues the ladder if it was the step's last one.
func (c *evaluation) applyResult(o StepResult) {
	at := slices.IndexFunc(c.state.Stretches, func(s Stretch) bool { return slices.Contains(s.Awaiting, o.Decision) })
	if at < 0 {
		c.applyLadderResult(o)
		return
	}
	s := &c.state.Stretches[at]
	s.Awaiting = without(s.Awaiting, o.Decision)
	s.Undone = s.Undone || o.ofLoad()
	s.Quiet = s.Quiet || o.ofQuiet()
	s.Failed = s.Failed || o.Result != events.Done && !o.ofLoad() && !o.ofQuiet()
	r := c.rule(s.Rule)
	switch {
	case r == nil:
	case o.Result == events.Stale:
		s.Phase, s.Awaiting = Unsure, nil
	case len(s.Awaiting) > 0:
	default:
		v, _ := c.varsFor(c.subject(s.CallSid))
		c.stepEnded(r, s, v)
	}
}

// ofLoad reports whether a decision was not performed because the performer found rules in force
// under which it may not be: those that it was made by are older, or the lane does not have them yet.
func (o *StepResult) ofLoad() bool {
	return o.Result == events.Lapsed && (o.Why == RuleChanged || o.Why == LapsedRule || o.Why == LapsedExempt)
}

// ofQuiet reports whether a decision was not performed because of quiet hours.
func (o *StepResult) ofQuiet() bool { return o.Result == events.Skipped && o.Why == HeldBack }

// stepEnded continues the ladder of a step whose last result has come.
func (c *evaluation) stepEnded(r *Rule, s *Stretch, v condition.Vars) {
	undone := s.Undone || s.Failed || s.Quiet
	switch {
	case s.Next != "" && undone:
		since := s.Since
		c.renew(r, s, s.Next)
		s.Since, s.Due = since, later(since.Add(r.For), c.state.Now)
		c.resume(r, s, v)
	case s.Next != "":
		s.Phase, s.Next, s.Version = Over, "", r.Version
	case s.Quiet:
		until := c.heldUntil(r, StepEnd)
		if until.IsZero() { // the lane does not have these quiet hours, or its clock is ahead
			until = c.state.Now.Add(s.delay())
		}
		c.hold(r, s, until)
	case s.Undone:
		s.Phase, s.Due = Reloading, c.state.Now.Add(s.delay())
	case s.Failed && !r.continues(s.Step):
		c.endAttempt(r, s)
	default:
		c.runSteps(r, s, v)
	}
}

// without returns the ids except one; nil if no other is left.
func without(ids []string, id string) []string {
	var rest []string
	for _, other := range ids {
		if other != id {
			rest = append(rest, other)
		}
	}
	return rest
}

// heldUntil returns when the quiet hours end that hold back a step, or zero.
func (c *evaluation) heldUntil(r *Rule, kind StepKind) time.Time {
	q := c.set.QuietHours
	if r.Mode != Live || !kind.AtTwilio() || !q.At(c.state.Now) || q.Do != QuietHold {
		return time.Time{}
	}
	return q.over(c.state.Now)
}

// over returns when the quiet hours that contain now end.
func (q *QuietHours) over(now time.Time) time.Time {
	local := now.In(q.Location)
	end := func(days int) time.Time {
		y, m, d := local.Date()
		seconds := int(q.To / time.Second)
		return time.Date(y, m, d+days, 0, 0, seconds, 0, q.Location)
	}
	if today := end(0); today.After(now) {
		return today.UTC()
	}
	return end(1).UTC()
}

// occasion is what a decision takes from the stretch it belongs to.
type occasion struct {
	name, subject string
	attempt       int
	stale         bool
}

func (s *Stretch) occasion() occasion { return occasion{s.Occasion, s.CallSid, s.Attempt, s.Stale} }

// decide evaluates one step, for each leg that it acts on. No decision means
// that the step has no leg to act on.
func (c *evaluation) decide(r *Rule, n int, v condition.Vars, o occasion) []Decision {
	step := &r.Do[n-1]
	legs := c.targets(r, step, v)
	all := make([]Decision, 0, len(legs))
	for _, leg := range legs {
		v.Participant = leg
		d := c.decision(r.Name, n, o)
		d.Do = step.Kind
		if leg != nil && step.To == EachParticipant {
			d.CallSid = leg.CallSid
		}
		d.ID = d.id()
		d.Verdict, d.Reason = c.verdict(r, step.Kind, o.stale)
		d.Late = o.stale && d.Verdict != Refused
		if err := d.evaluate(step, v); err != nil {
			c.fault(r, "parameters", err)
			d.Verdict, d.Reason = Refused, Unevaluated
		}
		all = append(all, d)
	}
	return all
}

// targets are the legs that a step acts on. A step for the conference gets the
// leg that the rule is judged for, if any, so that its parameters can read it.
func (c *evaluation) targets(r *Rule, step *Step, v condition.Vars) []*projections.Participant {
	if step.To != EachParticipant || step.Target == nil {
		if step.To == EachParticipant && v.Participant == nil {
			return nil
		}
		return []*projections.Participant{v.Participant}
	}
	var meant []*projections.Participant
	reading := condition.Read(v) // one, so that what does not read the leg is evaluated once
	for _, p := range v.Conference.Live() {
		holds, _, err := reading.HoldsUntil(step.Target, p)
		c.fault(r, "target", err)
		if err == nil && holds {
			meant = append(meant, p)
		}
	}
	return meant
}

// decision returns a decision for the conference being judged, without its verdict.
func (c *evaluation) decision(rule string, step int, o occasion) Decision {
	return Decision{
		Rule: rule, Version: c.set.Version,
		AccountSid: c.vars.Account, ConferenceSid: c.vars.Conference.ConferenceSid,
		Subject: o.subject, Occasion: o.name, Attempt: o.attempt, Step: step, AsOf: c.state.Now,
	}
}

// verdict decides whether a step is performed. Notifications are sent late rather than not at all.
func (c *evaluation) verdict(r *Rule, kind StepKind, stale bool) (Verdict, Reason) {
	switch {
	case r.Mode != Live:
		return Would, ""
	case !kind.AtTwilio():
		return Act, ""
	case stale:
		return Refused, Stale
	case c.set.QuietHours.At(c.state.Now):
		return Would, ""
	}
	return Act, ""
}

// evaluate fills in the parameters.
func (d *Decision) evaluate(step *Step, v condition.Vars) (err error) {
	if d.Params, err = texts(step.Params, v); err != nil {
		return err
	}
	d.Data, err = texts(step.Data, v)
	return err
}

func texts(all map[string]*condition.Expression, v condition.Vars) (map[string]string, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, err := all[name].Text(v)
		if err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", name, err)
		}
		out[name] = strings.Clone(text) // text may be part of the entry, which is large
	}
	return out, nil
}

// refuse records that the ladder does not perform its next step.
func (c *evaluation) refuse(s Stretch, do StepKind, why Reason) {
	d := c.decision(s.Rule, s.Step+1, s.occasion())
	d.Do, d.Verdict, d.Reason = do, Refused, why
	d.ID = d.id()
	c.decisions = append(c.decisions, d)
}
