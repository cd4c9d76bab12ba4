package rules

import (
	"strings"

	"gavel/events"
)

// InputOf returns what an entry of a conference's lane means to Judge, and
// whether it means anything. fresh is whether the fold took it for news: doubles
// never reach Judge. It is the only such mapping. Package lanes calls it, for the
// projector, rebuilds and tests of rules alike.
//
// What a rule did reaches Judge as its decision's outcome only. If it were an
// event as well, a rule about any event would set itself off for ever.
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
	case events.RulesLoaded, events.RuleMatch, events.SpeechDropped:
		return in, false
	}
	in.Fact = e
	return in, fresh
}

// ofAction returns what is to be heard of an action: a person's is an event.
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
	in.Outcome = &StepResult{a.ID, o.Result}
	return in, err == nil
}
