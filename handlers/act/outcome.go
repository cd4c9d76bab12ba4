package act

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
)

// callTime bounds one call to Twilio, the wait for its turn included. Twilio's own
// Go client gives up after 10 s.
const callTime = 10 * time.Second

// errOldState means that the state fetched from Twilio is too old to act on.
var errOldState = errors.New("the state fetched from Twilio is too old")

// beforeCall runs when the call has its turn. The call counts as on the wire
// before the stop is read, so a caller that sets the stop and then lists the
// calls on the wire misses none.
func (t *task) beforeCall(ctx context.Context) error {
	if err := t.beforeHold(ctx); err != nil {
		return err
	}
	if t.Now().Sub(t.seen.At) > maxStateAge {
		return errOldState
	}
	return nil
}

// beforeHold is beforeCall for a leg that has to go back on hold, however old
// the fetched state is.
func (t *task) beforeHold(ctx context.Context) error {
	t.underWay.calling.Store(t.decided.ID, t.action())
	return t.checkStop(ctx)
}

// call calls Twilio. From here on ctx does not cancel: half a call would leave an
// operation with an unknown end.
func (t *task) call(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if t.offHold {
		return t.setOffHold(ctx)
	}
	return t.send(ctx)
}

// send makes the call and reads the answer.
func (t *task) send(ctx context.Context) error {
	request, err := t.request()
	if err != nil {
		t.log.Error("request to Twilio cannot be made", "error", err)
		return end(events.Failed, "address")
	}
	answer, err := t.callTwilio(ctx, request)
	if err != nil {
		return t.unanswered(ctx, err)
	}
	return t.answered(ctx, answer)
}

// callTwilio makes one call.
func (t *task) callTwilio(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	defer t.underWay.calling.Delete(t.decided.ID)
	answer, err := t.Twilio.Call(ctx, call)
	crashpoint.Pass(crashpoint.Called)
	return answer, err
}

// unanswered returns what follows from a call without an answer.
func (t *task) unanswered(ctx context.Context, err error) error {
	if errors.As(err, new(again)) || errors.Is(err, errOldState) {
		return err // from beforeCall
	}
	t.log.Warn("Twilio gave no answer", "do", t.decision.Do, "error", err)
	if errors.Is(err, twilio.ErrSilent) {
		return t.checkShown(ctx, events.Outcome{Result: events.Done, Why: "seen"}, again{why: whySilent})
	}
	return again{why: whyUnsent}
}

// answered is the table of Twilio's answers.
//
//	2xx                       done; an announcement once its end is reported
//	404, of an end or a kick  done already
//	408, 409, 425, 429, 401   not done: again, not before Retry-After
//	5xx                       unknown: fetch the state; done if it shows, else again
//	all others                refused: fetch the state; done if it shows, else failed
func (t *task) answered(ctx context.Context, answer twilio.Answer) error {
	outcome := events.Outcome{Result: events.Done, Status: answer.Status, Code: answer.Code()}
	switch status := answer.Status; {
	case status < http.StatusMultipleChoices && t.op.do == events.DoAnnounce:
		return again{why: whyAnnounced, after: announceTime}
	case status < http.StatusMultipleChoices:
		return ended{outcome}
	case status == http.StatusNotFound && t.op.goneIsDone:
		outcome.Why = "already"
		return ended{outcome}
	case temporary(status):
		return notNow(answer)
	}
	refused := outcome
	refused.Result = events.Failed
	outcome.Why = "seen"
	if answer.Status >= http.StatusInternalServerError {
		return t.checkShown(ctx, outcome, again{why: whyFailing, after: answer.RetryAfter()})
	}
	return t.checkShown(ctx, outcome, ended{refused})
}

// temporary reports whether a later request may succeed: the refusal is about
// timing, or about credentials that are being changed.
func temporary(status int) bool {
	return slices.Contains([]int{
		http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests,
	}, status)
}

// notNow returns the later try after an answer that decides nothing.
func notNow(answer twilio.Answer) error {
	why := whyFailing
	switch answer.Status {
	case http.StatusTooManyRequests:
		why = whyTooMany
	case http.StatusUnauthorized, http.StatusForbidden:
		why = whyRefused
	}
	return again{why: why, after: answer.RetryAfter()}
}

// checkShown fetches the state and returns shown if the operation was done all
// the same. If its target is gone, another try is useless. Else it returns
// otherwise. Nothing is healed: if the operation was done, callbacks are on
// their way.
func (t *task) checkShown(ctx context.Context, shown events.Outcome, otherwise error) error {
	if err := inOrder(ctx, t.fetch, t.checkReported); err != nil {
		return err
	}
	switch {
	case t.op.shows != nil && t.op.shows(t.seen):
		return ended{shown}
	case t.seen.Over():
		return end(t.ifGone(), "ended")
	case t.decision.CallSid != "" && t.seen.Leg(t.decision.CallSid) == nil:
		return end(t.ifGone(), "left")
	}
	return otherwise
}

// checkReported ends an operation that Twilio's state cannot show, if its end was
// reported while the call had no answer: the call's timeout is longer than an
// announcement.
func (t *task) checkReported(ctx context.Context) error {
	if t.op.shows != nil {
		return nil
	}
	return inOrder(ctx, t.awaitRecord, t.checkOutcome)
}

// ifGone is the result of a requested operation whose target is gone.
func (t *task) ifGone() events.Result {
	if t.op.shows == nil {
		return events.Unknown
	}
	return events.Lapsed
}
