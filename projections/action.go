package projections

import (
	"slices"
	"strings"

	"gavel/events"
)

// ActionRecord is one write to Twilio that a client or a rule requested through
// Gavel. Its times are on our own clock, unlike all others in a record.
type ActionRecord struct {
	ID string    `json:"id"`
	Do events.Do `json:"do"`
	// CallSid and RecordingSid name the target, or are empty.
	CallSid      string `json:"call_sid,omitempty"`
	RecordingSid string `json:"recording_sid,omitempty"`
	// Asked holds the requested parameters that have a fixed form, form-encoded.
	Asked string       `json:"asked,omitempty"`
	Actor events.Actor `json:"actor"`
	At    Instant      `json:"at"`
	// Intent is set once the intent's entry is folded. The outcome's entry
	// repeats the intent's data and may be folded first.
	Intent bool `json:"intent,omitempty"`
	// Outcome is how the action ended. Nil until the outcome's entry is folded.
	Outcome *ActionResult `json:"outcome,omitempty"`
}

// ActionResult is Twilio's answer to an action.
type ActionResult struct {
	Result events.Result `json:"result"`
	// Status is the HTTP status, Code Twilio's error code; 0 if absent.
	Status int     `json:"status,omitempty"`
	Code   int     `json:"code,omitempty"`
	At     Instant `json:"at"`
	// Why is one word that explains the result, or empty.
	Why string `json:"why,omitempty"`
}

// Words returns who requested the action and what it does, as a sentence without its full stop.
func (a *ActionRecord) Words() string {
	return events.Action{Do: a.Do, Actor: a.Actor, Asked: a.Asked}.Words()
}

// Words returns how an action ended, as a sentence without its full stop; do is the kind of action.
func (o *ActionResult) Words(do events.Do) string {
	return events.Outcome{Result: o.Result, Status: o.Status, Code: o.Code, Why: o.Why}.Words(do)
}

// foldAction folds an intent or an outcome. Neither changes the conference's times, which are on
// Twilio's clock. The two entries of one action repeat the same data, so either may come first.
func (d *draft) foldAction() (fresh bool, err error) {
	stated, err := newActionRecord(d.e)
	if err != nil {
		return false, err
	}
	if d.Settled.Has(stated.ID) {
		return false, nil
	}
	a := d.action(stated)
	switch {
	case a == nil:
		return true, nil
	case stated.Intent:
		fresh = !a.Intent
		a.Intent = true
	case a.Outcome == nil || compareOutcomes(*stated.Outcome, *a.Outcome) > 0:
		fresh = true
		a.Outcome = stated.Outcome
	}
	return fresh, nil
}

// action returns the action to write, already in the draft's own list: a copy of the one before, or
// a new one like stated with neither intent nor outcome folded. Nil when the record is full.
func (d *draft) action(stated *ActionRecord) *ActionRecord {
	i, known := slices.BinarySearchFunc(d.Actions, stated.ID,
		func(a *ActionRecord, id string) int { return strings.Compare(a.ID, id) })
	if known {
		d.Actions = withCopy(d.Actions, i)
		return d.Actions[i]
	}
	if len(d.Actions) >= MaxActions {
		d.Truncated = true
		if !d.settleAction() {
			return nil
		}
		i, _ = slices.BinarySearchFunc(d.Actions, stated.ID,
			func(a *ActionRecord, id string) int { return strings.Compare(a.ID, id) })
	}
	a := *stated
	a.Intent, a.Outcome = false, nil
	d.Actions = inserted(d.Actions, i, &a)
	return &a
}

// newActionRecord returns the action that one entry describes.
func newActionRecord(e *events.Event) (*ActionRecord, error) {
	asked, err := e.Action()
	if err != nil {
		return nil, err
	}
	a := &ActionRecord{
		ID:           strings.Clone(asked.ID),
		Do:           events.Do(strings.Clone(string(asked.Do))),
		CallSid:      strings.Clone(asked.CallSid),
		RecordingSid: strings.Clone(asked.RecordingSid),
		Asked:        strings.Clone(asked.Asked),
		Actor:        events.Actor{Sid: strings.Clone(asked.Actor.Sid), Name: strings.Clone(asked.Actor.Name), Rule: strings.Clone(asked.Actor.Rule)},
		At:           At(asked.At),
	}
	if a.Intent = e.Kind == events.ActionIntent; a.Intent {
		return a, nil
	}
	o, err := e.Outcome()
	if err != nil {
		return nil, err
	}
	a.Outcome = &ActionResult{
		Result: events.Result(strings.Clone(string(o.Result))),
		Status: o.Status, Code: o.Code, At: At(o.At), Why: strings.Clone(o.Why),
	}
	return a, nil
}
