package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gavel/events"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

// offHoldTime is how long after a leg was taken off hold another try sees to it
// that it is back, should this process die: it takes three calls, some tens of
// milliseconds each.
const offHoldTime = 30 * time.Second

// setNames are the step's flags, by what Twilio calls them (Twilio, Participant
// resource: update).
var setNames = map[string]string{
	"end_conference_on_exit": "EndConferenceOnExit",
	"beep_on_exit":           "BeepOnExit",
	"coaching":               "Coaching",
	"call_sid_to_coach":      "CallSidToCoach",
	"wait_url":               "WaitUrl",
	"wait_method":            "WaitMethod",
}

// setFlags are those that are true or false. Twilio would take everything but
// true for false.
var setFlags = []string{"end_conference_on_exit", "beep_on_exit", "coaching"}

// setDeed changes flags of a participant. It converges. Whether it was done
// shows where Twilio shows all that is asked for.
func setDeed(d *rules.Decision) deed {
	form := url.Values{}
	for param, name := range setNames {
		setGiven(form, name, d.Params[param])
	}
	s := post(events.DoUpdateParticipant, form)
	for _, flag := range setFlags {
		switch d.Params[flag] {
		case "", "true", "false":
		default:
			s.bent = true
		}
	}
	shown := 0
	for _, flag := range []string{"end_conference_on_exit", "coaching"} {
		if d.Params[flag] != "" {
			shown++
		}
	}
	if shown == len(form) {
		s.shows = legIs(d.CallSid, func(l *projections.SeenLeg) bool {
			return isAsked(d.Params["end_conference_on_exit"], l.Flags.EndConferenceOnExit) &&
				isAsked(d.Params["coaching"], l.Flags.Coaching)
		})
	}
	return s
}

// isAsked reports whether a flag is as asked; "" asks for nothing.
func isAsked(asked string, is bool) bool { return asked == "" || (asked == "true") == is }

// checkHeld keeps flags of a leg on hold as they are: Twilio is known to ignore
// such a change. Only a rule that says so has it taken off hold for it.
func (t *task) checkHeld(context.Context) error {
	l := t.sight.Leg(t.decision.CallSid)
	t.offHold = t.decision.Do == rules.StepSet && l != nil && l.Flags.Hold
	if t.offHold && !t.mayUnhold() {
		return end(events.Skipped, "held")
	}
	return nil
}

func (t *task) mayUnhold() bool { return t.decision.Params["when_held"] == "unhold" }

// secure has somebody come back whatever happens now: a leg that was taken off
// hold must not stay so. From here on the alarm carries the decision, and not
// its message.
func (t *task) secure(ctx context.Context) error {
	if !t.mayUnhold() {
		return nil
	}
	t.note.Secured = true
	n := t.note
	n.Unheld = t.offHold
	raw, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	return t.later(ctx, t.Now().Add(offHoldTime), raw)
}

// setOffHold takes the leg off hold, changes it, and puts it back.
func (t *task) setOffHold(ctx context.Context) error {
	answer, err := t.ask(ctx, t.holdCall(false, t.beforeCall))
	switch {
	case errors.Is(err, twilio.ErrSilent) || err == nil && answer.Status >= http.StatusInternalServerError:
		if err := t.holdAgain(ctx); err != nil {
			return err
		}
		return again{why: whySilent}
	case err != nil:
		return t.unanswered(ctx, err)
	case answer.Status == http.StatusNotFound:
		return end(events.Lapsed, string(rules.LapsedLeft))
	case answer.Status >= http.StatusMultipleChoices:
		return notNow(answer)
	}
	last := t.send(ctx)
	var done ended
	if errors.As(last, &done) {
		t.note.Set = &done.Outcome
	}
	if err := t.holdAgain(ctx); err != nil {
		return err
	}
	return last
}

// holdAgain puts the leg back on hold. Nothing ends before that is done or the
// leg is gone.
func (t *task) holdAgain(ctx context.Context) error {
	t.note.Unheld = true
	answer, err := t.ask(ctx, t.holdCall(true, t.beforeHold))
	if err == nil && (answer.Status < http.StatusMultipleChoices || answer.Status == http.StatusNotFound) {
		t.note.Unheld = false
		return nil
	}
	t.log.Error("participant was taken off hold and cannot be put back", "call_sid", t.decision.CallSid, "status", answer.Status, "error", err)
	return again{why: whyUnheld, after: answer.RetryAfter()}
}

func (t *task) holdCall(hold bool, before func(context.Context) error) twilio.Call {
	return twilio.Call{
		AccountSid: t.decided.Key.AccountSid, Kind: string(events.DoUpdateParticipant), Method: http.MethodPost,
		Path: t.path(), Form: fmt.Sprintf("Hold=%t", hold), Before: before,
	}
}

// checkUnheld sees to a leg that an earlier try took off hold.
func (t *task) checkUnheld(ctx context.Context) error {
	if !t.note.Unheld {
		return nil
	}
	if err := t.holdAgain(ctx); err != nil {
		return err
	}
	if t.note.Set != nil {
		return ended{*t.note.Set}
	}
	return nil
}
