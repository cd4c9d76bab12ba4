package projections

import (
	"slices"
	"strings"

	"gavel/events"
)

// ActionRecord is one write to Twilio that somebody asked Gavel for. Its moments are
// on our own clock, unlike all others in a record.
type ActionRecord struct {
	ID string    `json:"id"`
	Do events.Do `json:"do"`
	// CallSid and RecordingSid are what it is about, or empty.
	CallSid      string `json:"call_sid,omitempty"`
	RecordingSid string `json:"recording_sid,omitempty"`
	// Asked are the parameters of fixed form, as a form.
	Asked string       `json:"asked,omitempty"`
	Actor events.Actor `json:"actor"`
	At    Instant      `json:"at"`
	// Intent is set once the intent was told. The outcome repeats what it says
	// and may come first.
	Intent bool `json:"intent,omitempty"`
	// Outcome is how it ended. Nil until told.
	Outcome *ActionResult `json:"outcome,omitempty"`
}

// ActionResult is what Twilio answered to an action.
type ActionResult struct {
	Result events.Result `json:"result"`
	// Status is the HTTP status, Code Twilio's error code; 0 is none.
	Status int     `json:"status,omitempty"`
	Code   int     `json:"code,omitempty"`
	At     Instant `json:"at"`
	// Why is more about the result, one word, or empty.
	Why string `json:"why,omitempty"`
}

// Words says who asked for what, in a sentence without its full stop.
func (a *ActionRecord) Words() string {
	return events.Action{Do: a.Do, Actor: a.Actor, Asked: a.Asked}.Words()
}

// Words says how an action ended, in a sentence without its full stop; do is
// what it was.
func (o *ActionResult) Words(do events.Do) string {
	return events.Outcome{Result: o.Result, Status: o.Status, Code: o.Code, Why: o.Why}.Words(do)
}

// tellAction folds an intent or an outcome. Neither touches the life of the
// conference, which is on Twilio's clock. The two entries of one action say the
// same of it, so that either may be the first.
func (d *draft) tellAction() (fresh bool, err error) {
	told, err := toldAction(d.e)
	if err != nil {
		return false, err
	}
	a := d.action(told)
	switch {
	case a == nil:
		return true, nil
	case told.Intent:
		fresh = !a.Intent
		a.Intent = true
	case a.Outcome == nil || compareOutcomes(*told.Outcome, *a.Outcome) > 0:
		fresh = true
		a.Outcome = told.Outcome
	}
	return fresh, nil
}

// action returns the action to be written, a copy of the one before or one
// like told of which nothing was told yet, already in the draft's own list; nil
// when the record is full.
func (d *draft) action(told *ActionRecord) *ActionRecord {
	i, known := slices.BinarySearchFunc(d.Actions, told.ID,
		func(a *ActionRecord, id string) int { return strings.Compare(a.ID, id) })
	if known {
		d.Actions = withCopy(d.Actions, i)
		return d.Actions[i]
	}
	if len(d.Actions) >= MaxActions {
		d.Truncated = true
		return nil
	}
	a := *told
	a.Intent, a.Outcome = false, nil
	d.Actions = inserted(d.Actions, i, &a)
	return &a
}

// toldAction is what one entry says.
func toldAction(e *events.Event) (*ActionRecord, error) {
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
