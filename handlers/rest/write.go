package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/internal/twilio"
)

// maxWrites bounds the writes under way at once. Each waits for Twilio, seconds
// where Twilio is slow, and reads must not wait with it.
const maxWrites = 256

// The times of a write's parts, each with the longest that is of use.
const (
	// lookTime is for the record: a help, and no condition.
	lookTime = time.Second
	// intentTime is for the journal before the call. A client would rather
	// hear a 503 early: nothing was done, and it may ask again.
	intentTime = 2 * time.Second
	// callTime is for Twilio, waiting and repeated tries after a 429 included:
	// Twilio's own Go client gives up after 10 s.
	callTime = 7 * time.Second
	// outcomeTime is for the journal after the call. What ends then is only
	// the wait: the journal goes on trying.
	outcomeTime = 2 * time.Second

	// WriteTime is what a write takes at the most. A process that stops has to
	// give it, or the journal never hears how a write ended.
	WriteTime = lookTime + intentTime + callTime + outcomeTime
)

// answerWrite settles whether the write may be made, and makes it.
func (h *Handler) answerWrite(w http.ResponseWriter, r *http.Request, t target, who keys.Identity) (answer, error) {
	switch {
	case !who.Is(keys.Operator):
		return answer{}, errReadsOnly
	case h.origin.Check(r) != nil:
		// A browser sends what it knows of Basic credentials along with
		// whatever another site's page asks of it.
		return answer{}, errForeignPage
	case !h.Twilio.CanCall(t.account):
		return answer{}, errNoCredentials
	}
	f, err := readForm(w, r)
	if err != nil {
		return answer{}, err
	}
	do, err := f.asks(r.Method, t.resource)
	if err != nil {
		return answer{}, err
	}
	if !h.writes.take() {
		return answer{}, errTooMany
	}
	defer h.writes.free()
	// From here on the client does not count: one that goes away half-way
	// would leave a write of which nobody knows how it ended.
	ctx := context.WithoutCancel(r.Context())
	return h.write(ctx, t, h.action(ctx, t, do, f, who), twilio.Call{
		AccountSid: t.account, Kind: string(do), Method: r.Method, Path: t.path, Form: f.raw,
	})
}

// write tells the journal what is about to be asked, asks, and tells it what
// came of it.
func (h *Handler) write(ctx context.Context, t target, a events.Action, call twilio.Call) (answer, error) {
	if err := h.append(ctx, intentTime, a.ConferenceSid, events.NewIntent(a)); err != nil {
		h.Log.Error("intent cannot be appended, Twilio was not asked", "action_id", a.ID, "error", err)
		// The journal may have taken it all the same, and must not suspect
		// somebody who did nothing.
		h.settle(ctx, a, events.Outcome{Result: events.Failed})
		return answer{}, errNoJournal
	}
	reply, err := h.call(ctx, call)
	o := outcomeOf(reply, err)
	if o.Result == events.Done {
		a = learn(a, t, reply.Body)
	}
	h.settle(ctx, a, o)
	if err != nil {
		h.Log.Warn("Twilio gave no answer", "do", a.Do, "account_sid", a.AccountSid, "action_id", a.ID, "error", err)
		return answer{}, unanswered(err)
	}
	if reply.Status == http.StatusUnauthorized {
		h.Log.Error("Twilio refuses the credentials of this account", "account_sid", a.AccountSid)
	}
	return answerOf(reply), nil
}

func (h *Handler) call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return h.Twilio.Call(ctx, call)
}

func (h *Handler) append(ctx context.Context, within time.Duration, conferenceSid string, e events.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return h.Journal.Append(ctx, conferenceSid, e)
}

// settle tells the journal how a write ended. Where that fails, the client
// still hears what Twilio said: it happened.
func (h *Handler) settle(ctx context.Context, a events.Action, o events.Outcome) {
	o.At = h.Now()
	if err := h.append(ctx, outcomeTime, a.ConferenceSid, events.NewOutcome(a, o)); err != nil {
		h.Log.Error("outcome may be missing in the journal", "action_id", a.ID, "result", o.Result, "error", err)
	}
}

// unanswered is how a client hears that there is no answer of Twilio's.
func unanswered(err error) *fault {
	switch {
	case errors.Is(err, twilio.ErrNoCredentials):
		return errNoCredentials
	case errors.Is(err, twilio.ErrCrowded):
		return errTooMany
	case errors.Is(err, twilio.ErrUnreachable):
		return errUnreachable
	}
	return errSilent
}
