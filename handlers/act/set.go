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

// offHoldTime is the time after which another try puts a leg back on hold if this
// process dies. The change takes three calls of some tens of milliseconds each.
const offHoldTime = 30 * time.Second

// setNames maps the step's parameters to Twilio's (Twilio, Participant resource: update).
var setNames = map[string]string{
	"end_conference_on_exit": "EndConferenceOnExit",
	"beep_on_exit":           "BeepOnExit",
	"coaching":               "Coaching",
	"call_sid_to_coach":      "CallSidToCoach",
	"wait_url":               "WaitUrl",
	"wait_method":            "WaitMethod",
}

// setFlags changes flags of a participant. Twilio's state shows whether it was done if it shows
// every parameter of the request. Twilio would read any flag except true as false.
func setFlags(d *rules.Decision) operation {
	form := url.Values{}
	for param, name := range setNames {
		setGiven(form, name, d.Params[param])
	}
	o := update(form, nil)
	exit, coaching := d.Params["end_conference_on_exit"], d.Params["coaching"]
	for _, flag := range []string{exit, coaching, d.Params["beep_on_exit"]} {
		o.invalid = o.invalid || flag != "" && flag != "true" && flag != "false"
	}
	shown := 0
	for _, flag := range []string{exit, coaching} {
		if flag != "" {
			shown++
		}
	}
	if shown == len(form) {
		o.shows = legShows(d, func(l *projections.SeenLeg) bool {
			return matches(exit, l.Flags.EndConferenceOnExit) && matches(coaching, l.Flags.Coaching)
		})
	}
	return o
}

// matches reports whether a flag has the requested value; "" requests none.
func matches(requested string, is bool) bool { return requested == "" || (requested == "true") == is }

// checkHeld skips a change of flags of a leg on hold, because Twilio ignores it.
// If the rule allows it, the leg is taken off hold for the change.
func (t *task) checkHeld(context.Context) error {
	l := t.seen.Leg(t.decision.CallSid)
	t.offHold = t.decision.Do == rules.StepSet && l != nil && l.Flags.Hold
	if t.offHold && !t.mayUnhold() {
		return end(events.Skipped, "held")
	}
	return nil
}

func (t *task) mayUnhold() bool { return t.decision.Params["when_held"] == "unhold" }

// secure sets an alarm that leads to another try even if this process dies,
// because a leg that was taken off hold must not stay off. From here on the alarm
// carries the decision, and not its message.
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

// setOffHold takes the leg off hold, changes it, and puts it back on hold.
func (t *task) setOffHold(ctx context.Context) error {
	answer, err := t.callTwilio(ctx, t.newCall("Hold=false", t.beforeCall))
	switch {
	case errors.Is(err, twilio.ErrSilent) || err == nil && unclear(answer):
		if err := t.holdAgain(ctx); err != nil {
			return err
		}
		return again{why: whySilent}
	case err != nil:
		return t.unanswered(ctx, err)
	case answer.Status == http.StatusNotFound:
		return t.checkShown(ctx, events.Outcome{Result: events.Done, Why: "seen"}, again{why: whyMissing})
	case answer.Status >= http.StatusMultipleChoices:
		return notNow(answer)
	}
	t.underWay.unheld.Store(t.decided.ID, t.action())
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

// holdAgain puts the leg back on hold. The task does not end before that is done
// or the leg is gone.
func (t *task) holdAgain(ctx context.Context) error {
	t.note.Unheld = true
	t.underWay.unheld.Store(t.decided.ID, t.action())
	answer, err := t.callTwilio(ctx, t.newCall("Hold=true", t.beforeHold))
	if err == nil && answer.InForm() && (answer.Status < http.StatusMultipleChoices || answer.Status == http.StatusNotFound && t.hasLeft(ctx)) {
		t.note.Unheld = false
		t.underWay.unheld.Delete(t.decided.ID)
		return nil
	}
	t.log.Error("participant was taken off hold and cannot be put back", "call_sid", t.decision.CallSid, "status", answer.Status, "error", err)
	return again{why: whyUnheld, after: answer.RetryAfter()}
}

// holdWithoutAlarm repeats holdAgain while NATS does not set the alarm of the next try, because a leg
// must not stay off hold until NATS answers. It returns err: the decision is delivered again.
func (t *task) holdWithoutAlarm(ctx context.Context, err error) error {
	tick := time.NewTicker(firstWait)
	defer tick.Stop()
	for t.note.Unheld {
		select {
		case <-tick.C:
			_ = t.holdAgain(context.WithoutCancel(ctx)) // logged; the next tick tries again
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// hasLeft reports whether the leg is gone for good by Twilio's state: a 404 alone does not show it.
func (t *task) hasLeft(ctx context.Context) bool {
	err := t.fetch(ctx)
	return errors.As(err, new(ended)) || err == nil && (t.seen.Over() || t.seen.Leg(t.decision.CallSid) == nil)
}

// checkUnheld puts a leg back on hold that an earlier try took off hold.
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
