package act

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
)

// callTime is for one call at Twilio and its answer, waiting for its turn
// included: Twilio's own Go client gives up after 10 s.
const callTime = 10 * time.Second

// errOldLook: what Twilio said is too old by now to act on it.
var errOldLook = errors.New("the look at Twilio is too old")

// beforeCall is asked when the call has its turn. It counts as on the wire
// before the stop is read: whoever stops, and then looks at what is on the
// wire, misses none.
func (t *task) beforeCall(ctx context.Context) error {
	if err := t.beforeHold(ctx); err != nil {
		return err
	}
	if t.Now().Sub(t.sight.At) > maxLook {
		return errOldLook
	}
	return nil
}

// beforeHold is the same for a leg that has to go back on hold, however long
// ago it was looked at.
func (t *task) beforeHold(ctx context.Context) error {
	t.underWay.calls(t.action())
	return t.checkStop(ctx)
}

// call asks Twilio. From here on the end of the process does not count: half a
// call would leave a deed of which nobody knows how it ended.
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
		t.log.Error("Twilio cannot be asked", "error", err)
		return end(events.Failed, "address")
	}
	answer, err := t.ask(ctx, request)
	if err != nil {
		return t.unanswered(ctx, err)
	}
	return t.answered(ctx, answer)
}

// ask makes one call.
func (t *task) ask(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	defer t.underWay.called(t.decided.ID)
	answer, err := t.Twilio.Call(ctx, call)
	crashpoint.Pass(crashpoint.Called)
	return answer, err
}

// unanswered is the table of calls without an answer.
func (t *task) unanswered(ctx context.Context, err error) error {
	if errors.As(err, new(again)) || errors.Is(err, errOldLook) {
		return err // said by beforeCall
	}
	t.log.Warn("Twilio gave no answer", "do", t.decision.Do, "error", err)
	if errors.Is(err, twilio.ErrSilent) {
		return t.lookForIt(ctx, events.Outcome{Result: events.Done, Why: "seen"}, again{why: whySilent})
	}
	return again{why: whyUnsent}
}

// answered is the table of Twilio's answers.
//
//	2xx                       done; an announcement, once its end is told
//	404, of an end or a kick  done already
//	408, 409, 425, 429, 401   not done: again, as late as Twilio says
//	5xx                       perhaps: look; done if it shows, else again
//	all others                refused: look; done if it shows, else failed
func (t *task) answered(ctx context.Context, answer twilio.Answer) error {
	said := events.Outcome{Result: events.Done, Status: answer.Status, Code: answer.Code()}
	switch status := answer.Status; {
	case status < http.StatusMultipleChoices && t.deed.do == events.DoAnnounce:
		return again{why: whyAnnounced, after: announceTime}
	case status < http.StatusMultipleChoices:
		return ended{said}
	case status == http.StatusNotFound && t.deed.gone:
		said.Why = "already"
		return ended{said}
	case passing(status):
		return notNow(answer)
	}
	refused := said
	refused.Result = events.Failed
	said.Why = "seen"
	if answer.Status >= http.StatusInternalServerError {
		return t.lookForIt(ctx, said, again{why: whyFailing, after: answer.RetryAfter()})
	}
	return t.lookForIt(ctx, said, ended{refused})
}

// passing reports whether a refusal may pass by itself: it is about when, or
// about credentials that are being changed.
func passing(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return false
}

// notNow is an answer that is none, to be asked for again as late as it says.
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

// lookForIt asks Twilio whether it happened all the same: shown is then the
// outcome, otherwise the other end. Where whom it was for is gone by now, there
// is nothing to try again. Nothing is healed: if it happened, callbacks are on
// their way.
func (t *task) lookForIt(ctx context.Context, shown events.Outcome, otherwise error) error {
	if err := take(ctx, t.see, t.checkHeard); err != nil {
		return err
	}
	switch {
	case t.deed.shows != nil && t.deed.shows(t.sight):
		return ended{shown}
	case t.sight.Over():
		return end(t.ifGone(), "ended")
	case t.decision.CallSid != "" && t.sight.Leg(t.decision.CallSid) == nil:
		return end(t.ifGone(), "left")
	}
	return otherwise
}

// checkHeard ends what nothing at Twilio shows, and what was told of as done
// while no answer came: silence lasts longer than an announcement.
func (t *task) checkHeard(ctx context.Context) error {
	if t.deed.shows != nil {
		return nil
	}
	return take(ctx, t.awaitRecord, t.checkOutcome)
}

// ifGone is the end of what was asked for and of which nothing can be seen any
// more.
func (t *task) ifGone() events.Result {
	if t.deed.shows == nil {
		return events.Unknown
	}
	return events.Lapsed
}
