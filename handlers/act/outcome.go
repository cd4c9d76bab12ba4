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

// callTime bounds one call to Twilio, including the wait for its turn among the
// calls. Twilio's own Go client gives up after 10 s.
const callTime = 10 * time.Second

// errOldState means that the state fetched from Twilio is too old to act on.
var errOldState = errors.New("the state fetched from Twilio is too old")

// beforeCall runs right before the call is sent, after its wait for a turn: it asks the gate again. It
// registers the call as running before that reads the stop. So an operator who sets
// the stop and then lists the running calls misses none.
func (t *task) beforeCall(ctx context.Context) error {
	t.underWay.calling.Store(t.decided.ID, t.action())
	if err := t.passGate(ctx); err != nil {
		return err
	}
	t.sent = true
	return nil
}

// beforeHold is beforeCall for a call that puts a leg back on hold. It reads no stop and no rules:
// what Gavel changed is put back also while rules are stopped, and while NATS does not answer.
func (t *task) beforeHold(context.Context) error {
	t.underWay.calling.Store(t.decided.ID, t.action())
	return nil
}

// call calls Twilio. The end of ctx does not cancel the call: the outcome of a
// canceled call would be unknown.
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
	if errors.As(err, new(again)) || errors.As(err, new(ended)) || errors.Is(err, errOldState) {
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
//	404, of an end or a kick  unknown: fetch the state; done already if it shows, else again
//	408, 409, 425, 429, 401   not done: again, not before Retry-After
//	not in Twilio's form      unknown, whatever its status: as 5xx
//	5xx                       unknown: fetch the state; done if it shows, else again
//	all others                refused: fetch the state; done if it shows, else failed
func (t *task) answered(ctx context.Context, answer twilio.Answer) error {
	outcome := events.Outcome{Result: events.Done, Status: answer.Status, Code: answer.Code()}
	switch status := answer.Status; {
	case unclear(answer):
	case status < http.StatusMultipleChoices && t.op.do == events.DoAnnounce:
		return again{why: whyAnnounced, after: announceTime}
	case status < http.StatusMultipleChoices:
		t.answer = answer.Body
		return ended{outcome}
	case status == http.StatusNotFound && t.op.goneIsDone:
		outcome.Why = "already"
		return t.checkShown(ctx, outcome, again{why: whyMissing})
	case temporary(status):
		return notNow(answer)
	}
	refused := outcome
	refused.Result = events.Failed
	outcome.Why = "seen"
	if unclear(answer) {
		return t.checkShown(ctx, outcome, again{why: whyFailing, after: answer.RetryAfter()})
	}
	return t.checkRefused(ctx, outcome, ended{refused})
}

// checkRefused fetches the state after a final refusal, which may be about a change that is done
// already. The refusal stays final if the state cannot be fetched, and for what no state can show: a
// second request could be carried out after the first was.
func (t *task) checkRefused(ctx context.Context, shown events.Outcome, refused ended) error {
	if t.op.shows == nil {
		if err := t.checkReported(ctx); errors.Is(err, errSettled) {
			return err
		}
		return refused
	}
	err := t.checkShown(ctx, shown, refused)
	if errors.As(err, new(again)) {
		return refused
	}
	return err
}

// temporary reports whether a later request may succeed: the refusal is about
// timing, or about credentials that are being changed.
func temporary(status int) bool {
	return slices.Contains([]int{
		http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests,
	}, status)
}

// unclear reports whether it is unknown after the answer what Twilio did.
func unclear(answer twilio.Answer) bool {
	return answer.Status >= http.StatusInternalServerError || !temporary(answer.Status) && !answer.InForm()
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

// checkShown fetches the state after a call without a clear answer. It ends the task with the
// outcome shown if the operation was done, and with ifGone if the target is gone. Else it returns
// otherwise. It does not heal the record: if the operation was done, Twilio sends its callbacks.
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

// checkReported ends an announcement whose end Twilio has already reported by a callback. Twilio's
// state does not show announcements. A short announcement can end before callTime has passed
// without an answer. Other operations are not affected.
func (t *task) checkReported(ctx context.Context) error {
	if t.op.shows != nil {
		return nil
	}
	return inOrder(ctx, t.awaitRecord, t.checkOutcome)
}

// ifGone returns the result of an operation that was sent to Twilio and whose
// target is gone: unknown if no state can show the operation, else lapsed.
func (t *task) ifGone() events.Result {
	if t.op.shows == nil {
		return events.Unknown
	}
	return events.Lapsed
}
