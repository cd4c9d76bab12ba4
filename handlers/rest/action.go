package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/internal/twilio"
	"gavel/projections"
)

// action is the write's entry in the journal.
func (h *Handler) action(ctx context.Context, t target, do events.Do, f form, who keys.Identity) (events.Action, *projections.Conference) {
	a := events.Action{
		ID: events.NewULID(), Do: do, AccountSid: t.account, ConferenceSid: t.conference, At: h.Now(),
		Asked: f.raw, // the journal keeps fixed values only
		Actor: events.Actor{Sid: who.KeySid, Name: who.Name},
	}
	switch {
	case events.IsSid("CA", t.member):
		a.CallSid = events.CanonicalSid(t.member)
	case events.IsSid("RE", t.member):
		a.RecordingSid = events.CanonicalSid(t.member)
	}
	return h.resolve(ctx, a, t)
}

// resolve reads from the picture what the path does not state. A conference that the picture does
// not have goes to Twilio like any other, but the journal does not name it before Twilio has
// confirmed it: a typing error must not create a conference. If the picture cannot be read, the SID
// in the path is used: an operator must be able to end a conference then too. It also returns the
// record, nil if it was not read.
func (h *Handler) resolve(ctx context.Context, a events.Action, t target) (events.Action, *projections.Conference) {
	if t.conference == "" {
		return a, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	stored, err := h.Reader.Conference(ctx, events.Key{AccountSid: t.account, ConferenceSid: t.conference})
	switch {
	case errors.Is(err, projections.ErrNotFound):
		a.ConferenceSid = ""
		return a, nil
	case err != nil:
		return a, nil
	case t.resource == participant && a.CallSid == "":
		if m, found := findMember(stored.Conference, h.Now(), t.member, false); found {
			a.CallSid = m.CallSid
		}
	}
	return a, stored.Conference
}

// withAnswer adds the SIDs in Twilio's answer to the action.
func withAnswer(a events.Action, t target, body []byte) events.Action {
	var said struct {
		Sid           string `json:"sid"`
		ConferenceSid string `json:"conference_sid"`
		CallSid       string `json:"call_sid"`
	}
	_ = json.Unmarshal(body, &said) // a 204 has no body, and texts that are not SIDs are ignored
	a.ConferenceSid = known("CF", a.ConferenceSid, t.conference, said.ConferenceSid)
	if t.resource == participant || t.resource == participants {
		a.CallSid = known("CA", a.CallSid, said.CallSid)
	}
	a.RecordingSid = known("RE", a.RecordingSid, said.Sid)
	return a
}

// known returns the first SID with that prefix, or "".
func known(prefix string, sids ...string) string {
	for _, sid := range sids {
		if events.IsSid(prefix, sid) {
			return events.CanonicalSid(sid)
		}
	}
	return ""
}

// outcomeOf returns how a write ended. A request that was never sent has failed
// for certain; a redirect counts as failed. Of a success that has not the form of
// Twilio's API nothing is certain.
func outcomeOf(reply twilio.Answer, err error) events.Outcome {
	switch {
	case errors.Is(err, twilio.ErrSilent):
		return events.Outcome{Result: events.Unknown}
	case err != nil:
		return events.Outcome{Result: events.Failed}
	case reply.Status < http.StatusMultipleChoices && reply.InForm():
		return events.Outcome{Result: events.Done, Status: reply.Status}
	case reply.Status >= http.StatusMultipleChoices && reply.Status < http.StatusInternalServerError:
		return events.Outcome{Result: events.Failed, Status: reply.Status, Code: reply.Code()}
	}
	return events.Outcome{Result: events.Unknown, Status: reply.Status, Code: reply.Code()}
}
