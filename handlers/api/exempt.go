package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/internal/keys"
)

// Journal is the log that every process folds and evaluates.
type Journal interface {
	// Append adds an entry to the lane of a conference and returns nil once it is acknowledged.
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// maxExemption is the longest exemption: the longest time that a rule may name.
const maxExemption = 7 * 24 * time.Hour

// Exemption is what keeps rules off one conference.
type Exemption struct {
	ID           string    `json:"id"`
	AccountSid   string    `json:"account_sid"`
	Conference   string    `json:"conference_sid"`
	FriendlyName string    `json:"friendly_name"`
	Rule         string    `json:"rule,omitempty" doc:"The exempted rule; absent: all rules"`
	Until        time.Time `json:"until" doc:"On Gavel's clock; a past time ends the previous exemption"`
}

type exemptInput struct {
	Conference string `path:"conference" maxLength:"1024" doc:"Its SID, or a friendly name: the live conference of that name, else the newest; 409 if several accounts have one"`
	Account    string `query:"account" doc:"One AccountSid; default: all that the key can access"`
	Body       struct {
		For    string `json:"for" maxLength:"32" example:"30m" doc:"How long, at most 168h; 0s ends the previous exemption"`
		Rule   string `json:"rule,omitempty" maxLength:"64" doc:"One rule; absent: all"`
		Reason string `json:"reason" minLength:"1" maxLength:"256" pattern:"\\S" doc:"Why; the journal keeps it"`
	}
}

func (a *API) addExempt(h huma.API) {
	register(a, h, huma.Operation{
		OperationID: "exempt-conference", Method: http.MethodPost, Path: "conferences/{conference}/exempt",
		Summary: "Keep rules off one conference for a while",
		Description: "Answers once the exemption is in the journal. It stops ladders that run there, but does not undo requests already sent to Twilio. " +
			"If a condition still holds when the exemption ends, its rule starts from the beginning.",
		DefaultStatus: http.StatusCreated,
	}, a.exempt)
}

func (a *API) exempt(ctx context.Context, in *exemptInput) (Exemption, error) {
	length, err := a.exemption(ctx, in)
	if err != nil {
		return Exemption{}, err
	}
	c, err := a.find(ctx, &conferenceInput{in.Conference, in.Account})
	if err != nil {
		return Exemption{}, err
	}
	if c.End != nil {
		return Exemption{}, huma.Error409Conflict("the conference has ended: no rule touches it")
	}
	who, now := identity(ctx), a.Now()
	x := events.Exemption{
		ID: events.NewULID(), Key: c.Key(),
		Rule: in.Body.Rule, Until: now.Add(length).UTC().Truncate(time.Second), Reason: in.Body.Reason,
		Actor: actor(who), At: now,
	}
	if err := a.Journal.Append(ctx, c.ConferenceSid, events.NewExempted(x)); err != nil {
		return Exemption{}, err
	}
	a.Log.Info("conference exempted", "account_sid", c.AccountSid, "conference_sid", c.ConferenceSid,
		"rule", x.Rule, "until", x.Until, "by", who.KeySid)
	return Exemption{
		ID: x.ID, AccountSid: c.AccountSid, Conference: c.ConferenceSid, FriendlyName: c.FriendlyName.Value,
		Rule: x.Rule, Until: x.Until,
	}, nil
}

// exemption checks the request and returns the length of the exemption.
func (a *API) exemption(ctx context.Context, in *exemptInput) (time.Duration, error) {
	if err := operator(ctx); err != nil {
		return 0, err
	}
	length, err := time.ParseDuration(in.Body.For)
	switch {
	case err != nil:
		return 0, badField("body.for", "is not a duration: write 30m or 1h30m")
	case length < 0 || length > maxExemption:
		return 0, badField("body.for", "is not between 0s and 168h")
	}
	return length, a.knownRule(ctx, "body.rule", in.Body.Rule)
}

// actor names the key of a request in the journal.
func actor(who keys.Identity) events.Actor { return events.Actor{Sid: who.KeySid, Name: who.Name} }
