package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/internal/twilio"
	"gavel/projections"
)

// maxWrites bounds the concurrent writes. Each waits for Twilio, for seconds if
// Twilio is slow, and reads must not wait with it.
const maxWrites = 256

// The maximum duration of each part of a write.
const (
	// lookTime is for reading the record, which is optional.
	lookTime = time.Second
	// intentTime is for the journal before the call. An early 503 is better for
	// a client: nothing was done, and it may retry.
	intentTime = 2 * time.Second
	// callTime is for Twilio, including waits and retries after a 429: Twilio's
	// own Go client gives up after 10 s.
	callTime = 7 * time.Second
	// outcomeTime is for the journal after the call. Only the wait ends then:
	// the journal continues to retry.
	outcomeTime = 2 * time.Second

	// WriteTime is the maximum duration of a write. A process must wait that long before it stops,
	// so that the journal gets the outcome of every write.
	WriteTime = lookTime + intentTime + callTime + outcomeTime
)

// answerWrite checks whether the caller may write, and writes.
func (h *Handler) answerWrite(w http.ResponseWriter, r *http.Request, t target, who keys.Identity) (answer, error) {
	switch {
	case !who.Is(keys.Operator):
		return answer{}, errReadsOnly
	case h.origin.Check(r) != nil:
		// A browser sends stored Basic credentials with requests that the page
		// of another site makes.
		return answer{}, errForeignPage
	case !h.Twilio.CanCall(t.account):
		return answer{}, errNoCredentials
	}
	f, err := readForm(w, r)
	if err != nil {
		return answer{}, err
	}
	do, err := f.do(r.Method, t.resource)
	if err != nil {
		return answer{}, err
	}
	if !h.writes.acquire() {
		return answer{}, errTooMany
	}
	defer h.writes.release()
	// From here on the client's context does not count: a write that stops
	// half-way would have an unknown outcome.
	ctx := context.WithoutCancel(r.Context())
	call := twilio.Call{AccountSid: t.account, Kind: string(do), Method: r.Method, Path: t.path, Form: f.raw}
	a, record := h.action(ctx, t, do, f, who)
	if record != nil { // the home region is also tried if the picture does not say
		call.Region = record.KeyRegion.Value
	}
	if do == doNothing {
		return h.forward(ctx, call)
	}
	return h.write(ctx, t, a, written{record, f, record == nil && a.ConferenceSid != ""}, call)
}

// written is a write beside its action: the record before it, nil if it was not read, and the form.
// unread: the picture did not answer in time, so the record may exist.
type written struct {
	record *projections.Conference
	form   form
	unread bool
}

// forward passes on a request that changes nothing, and so leaves no trace in the journal.
func (h *Handler) forward(ctx context.Context, call twilio.Call) (answer, error) {
	call.Kind = "nothing"
	reply, err := h.call(ctx, call)
	if err != nil {
		return answer{}, unanswered(err)
	}
	return answerOf(reply), nil
}

// write appends the intent to the journal, calls Twilio, and appends the outcome and what the answer
// states.
func (h *Handler) write(ctx context.Context, t target, a events.Action, of written, call twilio.Call) (answer, error) {
	if err := h.append(ctx, intentTime, a.ConferenceSid, events.NewIntent(a)); err != nil {
		h.Log.Error("appending the intent failed, Twilio was not called", "action_id", a.ID, "error", err)
		// The journal may have stored the intent all the same. The outcome prevents that its actor
		// is later reported as the probable cause of something.
		h.settle(ctx, a, events.Outcome{Result: events.Failed})
		return answer{}, errNoJournal
	}
	reply, err := h.call(ctx, call)
	o := outcomeOf(reply, err)
	if o.Result == events.Done {
		a = withAnswer(a, t, reply.Body)
	}
	h.settle(ctx, a, o)
	if o.Result == events.Done {
		h.fold(ctx, t, of, reply.Body)
	}
	if err != nil {
		h.Log.Warn("Twilio did not answer", "do", a.Do, "account_sid", a.AccountSid, "action_id", a.ID, "error", err)
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

// settle appends the outcome of a write. If that fails, the client still gets
// Twilio's answer, because the write happened.
func (h *Handler) settle(ctx context.Context, a events.Action, o events.Outcome) {
	o.At = h.Now()
	if err := h.append(ctx, outcomeTime, a.ConferenceSid, events.NewOutcome(a, o)); err != nil {
		h.Log.Error("outcome may be missing from the journal", "action_id", a.ID, "result", o.Result, "error", err)
	}
}

// fold appends what Twilio's answer states. If that fails, the record is as it is
// without the answer.
func (h *Handler) fold(ctx context.Context, t target, of written, body []byte) {
	entry, key, found := events.Entry{}, events.Key{}, false
	if of.record == nil && t.conference != "" && (of.unread || t.resource == participant) { // unread, or it began a moment ago
		of.record = &projections.Conference{AccountSid: t.account, ConferenceSid: t.conference}
	}
	at := h.order.stamp(h.Now())
	if t.resource == participants {
		leg, named := projections.DialledBy(t.account, t.room, body, of.form.timeout(), at, events.NewULID)
		entry, key, found = events.NewDialled(leg), leg.Key, named
	} else if entry, found = projections.Answered(of.record, body, at, events.NewULID); found {
		key = of.record.Key()
	}
	if !found {
		return
	}
	if err := h.append(ctx, outcomeTime, key.ConferenceSid, entry); err != nil {
		h.Log.Warn("what Twilio answered is not recorded", "conference_sid", key.ConferenceSid, "error", err)
	}
}

// order stamps answers in the order of their arrival: two within a millisecond, or around a small
// correction of the clock, would otherwise be ordered by what they state.
type order struct {
	mu   sync.Mutex
	last time.Time
}

// stamp returns now, or a millisecond after the last stamp if that is later.
func (o *order) stamp(now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	now = now.Truncate(time.Millisecond)
	if ahead := o.last.Sub(now); ahead >= 0 && ahead < time.Second {
		now = o.last.Add(time.Millisecond)
	}
	o.last = now
	return now
}

// unanswered converts the error of a call without an answer to a fault.
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
