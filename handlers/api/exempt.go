package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/internal/keys"
)

// Journal is the log that every process judges from.
type Journal interface {
	// Append adds an entry to the lane of a conference and returns nil once it
	// is acknowledged.
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// maxExemption is the longest time for which rules can be kept off: the longest
// that they themselves may name.
const maxExemption = 7 * 24 * time.Hour

// Exemption is what keeps rules off one conference.
type Exemption struct {
	ID           string    `json:"id"`
	AccountSid   string    `json:"account_sid"`
	Conference   string    `json:"conference_sid"`
	FriendlyName string    `json:"friendly_name"`
	Rule         string    `json:"rule,omitempty" doc:"The one rule that is kept off; absent: all"`
	Until        time.Time `json:"until" doc:"On Gavel's clock; where it has passed, the exemption before is lifted"`
}

type exemptInput struct {
	Conference string `path:"conference" maxLength:"1024" doc:"Its SID, or a friendly name for the newest of that name"`
	Account    string `query:"account" doc:"One AccountSid; without it all that the key may see"`
	Body       struct {
		For    string `json:"for" maxLength:"32" example:"30m" doc:"How long, at most 168h; 0s lifts the exemption before"`
		Rule   string `json:"rule,omitempty" maxLength:"64" doc:"One rule; all when absent"`
		Reason string `json:"reason" minLength:"1" maxLength:"256" pattern:"\\S" doc:"Why; it is kept in the journal"`
	}
}

func (a *API) addExempt(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "exempt-conference", Method: http.MethodPost, Path: Prefix + "conferences/{conference}/exempt",
		Summary: "Keep rules off one conference for a while",
		Description: "Answers once it is in the journal. Ladders that run there are stopped; what is at Twilio already is not taken back. " +
			"Where a condition still holds when the exemption ends, its rule begins anew.",
		DefaultStatus: http.StatusCreated,
	}, a.exempt)
}

func (a *API) exempt(ctx context.Context, in *exemptInput) (*answer[Exemption], error) {
	length, err := a.exemption(ctx, in)
	if err != nil {
		return nil, a.problem(err)
	}
	c, err := a.find(ctx, &conferenceInput{in.Conference, in.Account})
	if err != nil {
		return nil, a.problem(err)
	}
	if c.End != nil {
		return nil, huma.Error409Conflict("the conference has ended: no rule touches it")
	}
	who, now := identity(ctx), a.Now()
	x := events.Exemption{
		ID: events.NewULID(), Key: c.Key(),
		Rule: in.Body.Rule, Until: now.Add(length).UTC().Truncate(time.Second), Reason: in.Body.Reason,
		Actor: actor(who), At: now,
	}
	if err := a.Journal.Append(ctx, c.ConferenceSid, events.NewExempted(x)); err != nil {
		return nil, a.problem(err)
	}
	a.Log.Info("conference exempted", "account_sid", c.AccountSid, "conference_sid", c.ConferenceSid,
		"rule", x.Rule, "until", x.Until, "by", who.KeySid)
	return &answer[Exemption]{Exemption{
		ID: x.ID, AccountSid: c.AccountSid, Conference: c.ConferenceSid, FriendlyName: c.FriendlyName.Value,
		Rule: x.Rule, Until: x.Until,
	}}, nil
}

// exemption returns how long it is to last, if all that was asked makes sense.
func (a *API) exemption(ctx context.Context, in *exemptInput) (time.Duration, error) {
	if err := operator(ctx); err != nil {
		return 0, err
	}
	length, err := time.ParseDuration(in.Body.For)
	switch {
	case err != nil:
		return 0, badField("body.for", "is no length of time: write 30m or 1h30m")
	case length < 0 || length > maxExemption:
		return 0, badField("body.for", "is not between 0s and 168h")
	}
	return length, a.knownRule(ctx, "body.rule", in.Body.Rule)
}

// actor names in the journal who asked.
func actor(who keys.Identity) events.Actor { return events.Actor{Sid: who.KeySid, Name: who.Name} }
