package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/projections"
)

// Journal is the log that every process folds and evaluates.
type Journal interface {
	// Append adds an entry to the lane of a conference and returns nil once it is acknowledged.
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
	// AppendLane is Append for entries without a conference; lanes are from 0 to Lanes()-1.
	AppendLane(ctx context.Context, lane int, e events.Entry) error
	Lanes() int
}

// maxExemption is the longest exemption: the longest time that a rule may name.
const maxExemption = 7 * 24 * time.Hour

// Exemption is what keeps rules off one conference, or off all conferences of a name.
type Exemption struct {
	ID           string    `json:"id"`
	AccountSid   string    `json:"account_sid"`
	Conference   string    `json:"conference_sid,omitempty" doc:"Absent if it is by name"`
	FriendlyName string    `json:"friendly_name,omitempty"`
	Live         []string  `json:"live,omitempty" doc:"By name: the SIDs of the live conferences of that name, which are exempt now; later ones will be"`
	Rule         string    `json:"rule,omitempty" doc:"The exempted rule; absent: all rules"`
	Until        time.Time `json:"until" doc:"On Gavel's clock; a past time ends the previous exemption"`
}

type exemptInput struct {
	Conference string `path:"conference" maxLength:"1024" doc:"Its SID, for that conference only; or a friendly name, for all conferences of that name in the account, also those that begin later"`
	Account    string `query:"account" doc:"One AccountSid; default: the one that has conferences of that name, or the only one that the key can access; 409 if several have them"`
	Body       struct {
		For    string `json:"for" maxLength:"32" example:"30m" doc:"How long, at most 168h; 0s ends the previous exemption"`
		Rule   string `json:"rule,omitempty" maxLength:"64" doc:"One rule; absent: all"`
		Reason string `json:"reason" minLength:"1" maxLength:"256" pattern:"\\S" doc:"Why; the journal keeps it"`
	}
}

func (a *API) addExempt(h huma.API) {
	register(a, h, huma.Operation{
		OperationID: "exempt-conference", Method: http.MethodPost, Path: "conferences/{conference}/exempt",
		Summary: "Keep rules off one conference, or off a name, for a while",
		Description: "By SID it is about that conference. By name it holds for the name in that account until it ends, also if no such conference is live. " +
			"Answers once the exemption is in the journal. It stops ladders that run there, but does not undo requests already sent to Twilio. " +
			"If a condition still holds when the exemption ends, its rule starts from the beginning.",
		DefaultStatus: http.StatusCreated,
	}, a.exempt)
}

func (a *API) exempt(ctx context.Context, in *exemptInput) (Exemption, error) {
	length, err := a.exemption(ctx, in)
	if err != nil {
		return Exemption{}, err
	}
	who, now := identity(ctx), a.Now()
	x := events.Exemption{
		ID: events.NewULID(), Rule: in.Body.Rule, Until: now.Add(length).UTC().Truncate(time.Second), Reason: in.Body.Reason,
		Actor: actor(who), At: now,
	}
	if !events.IsSid("CF", in.Conference) {
		return a.exemptName(ctx, in, x)
	}
	c, err := a.find(ctx, &conferenceInput{in.Conference, in.Account})
	if err != nil {
		return Exemption{}, err
	}
	if c.End != nil {
		return Exemption{}, huma.Error409Conflict("the conference has ended: no rule touches it")
	}
	if err := a.exemptOne(ctx, c, x); err != nil {
		return Exemption{}, err
	}
	return Exemption{
		ID: x.ID, AccountSid: c.AccountSid, Conference: c.ConferenceSid, FriendlyName: c.FriendlyName.Value,
		Rule: x.Rule, Until: x.Until,
	}, nil
}

func (a *API) exemptOne(ctx context.Context, c *projections.Conference, x events.Exemption) error {
	x.Key = c.Key()
	if err := a.Journal.Append(ctx, c.ConferenceSid, events.NewExempted(x)); err != nil {
		return err
	}
	a.Log.Info("conference exempted", "account_sid", c.AccountSid, "conference_sid", c.ConferenceSid,
		"rule", x.Rule, "until", x.Until, "by", x.Actor.Sid)
	return nil
}

// exemptName exempts all conferences of a name. Every lane gets the exemption, for conferences that
// begin later; then each live one gets its own, which applies at once and is part of its timeline.
func (a *API) exemptName(ctx context.Context, in *exemptInput, x events.Exemption) (Exemption, error) {
	account, err := a.accountOfName(ctx, in)
	if err != nil {
		return Exemption{}, err
	}
	x.Key, x.Name = events.Key{AccountSid: account}, in.Conference
	if err := a.appendAll(ctx, events.NewNameExempted(x)); err != nil {
		return Exemption{}, err
	}
	a.Log.Info("conferences exempted by name", "account_sid", account, "rule", x.Rule, "until", x.Until, "by", x.Actor.Sid)
	done := Exemption{ID: x.ID, AccountSid: account, FriendlyName: x.Name, Rule: x.Rule, Until: x.Until}
	live, err := a.views.LiveNamed(ctx, account, x.Name)
	if err != nil {
		return Exemption{}, err
	}
	for _, c := range live {
		x.ID = events.NewULID()
		if err := a.exemptOne(ctx, c, x); err != nil {
			return Exemption{}, err
		}
		done.Live = append(done.Live, c.ConferenceSid)
	}
	return done, nil
}

// accountOfName returns the account that an exemption by name is for.
func (a *API) accountOfName(ctx context.Context, in *exemptInput) (string, error) {
	accounts, err := a.accounts(ctx, in.Account)
	if err != nil {
		return "", err
	}
	if len(accounts) == 1 {
		return accounts[0], nil
	}
	c, err := a.views.Find(ctx, accounts, in.Conference)
	switch {
	case errors.Is(err, projections.ErrNotFound):
		return "", badField("query.account", "is needed: no account has a conference of that name")
	case err != nil:
		return "", err
	}
	return c.AccountSid, nil
}

// appendAll appends an entry to every lane. After an error some may have it; to repeat the request
// does no harm.
func (a *API) appendAll(ctx context.Context, e events.Entry) error {
	for lane := range a.Journal.Lanes() {
		if err := a.Journal.AppendLane(ctx, lane, e); err != nil {
			return err
		}
	}
	return nil
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
