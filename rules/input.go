package rules

import (
	"strings"

	"gavel/events"
)

// InputOf returns what Judge gets for an entry of a conference's lane, and
// whether it gets anything. fresh is whether the fold accepted the entry as a
// new fact: duplicates never reach Judge. It is the only such mapping. Package
// lanes calls it, for the projector, rebuilds and tests of rules alike.
//
// An action of a rule reaches Judge only as the result of its decision. If it
// were an event as well, a rule about any event would trigger itself for ever.
func InputOf(e *events.Event, fresh bool) (Input, bool) {
	in := Input{ID: e.ID, At: e.ReceivedAt}
	switch e.Kind {
	case events.Wake:
		return in, true
	case events.Reread:
		in.Reread = true
		return in, true
	case events.Exempted:
		x, err := e.Exemption()
		in.Exemption = &ExemptUntil{strings.Clone(x.Rule), x.Until}
		return in, err == nil
	case events.ActionIntent, events.ActionOutcome:
		return in.ofAction(e, fresh)
	case events.RulesLoaded, events.RuleMatch, events.NameExempted, events.RuleReset, events.SpeechDropped, events.ConferenceFetched, events.ParticipantDialled:
		return in, false
	}
	in.Fact = e
	return in, fresh
}

// ofAction returns the input for an action's entry. An action that a person requested is an event.
func (in Input) ofAction(e *events.Event, fresh bool) (Input, bool) {
	a, err := e.Action()
	switch {
	case err != nil || !fresh:
		return in, false
	case a.Actor.Rule == "":
		in.Fact = e
		return in, true
	case e.Kind == events.ActionIntent:
		return in, false
	}
	o, err := e.Outcome()
	in.Outcome = &StepResult{a.ID, o.Result, Reason(strings.Clone(o.Why))}
	return in, err == nil
}
