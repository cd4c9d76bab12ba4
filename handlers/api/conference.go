package api

import (
	"context"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/projections"
)

// conferenceInput names a conference.
type conferenceInput struct {
	Conference string `path:"conference" maxLength:"1024" doc:"Its SID, or a friendly name for the newest of that name"`
	Account    string `query:"account" doc:"One AccountSid; without it all that the key may see"`
}

func (a *API) get(ctx context.Context, in *conferenceInput) (*answer[Record], error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return nil, a.problem(err)
	}
	return &answer[Record]{viewRecord(c, a.Now())}, nil
}

// find returns the conference of that SID, or the newest of that name.
func (a *API) find(ctx context.Context, in *conferenceInput) (*projections.Conference, error) {
	accounts, err := a.accounts(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	if events.IsSid("CF", in.Conference) {
		return a.findSid(ctx, accounts, events.CanonicalSid(in.Conference))
	}
	return a.findName(ctx, accounts, in.Conference)
}

// findSid asks every account, for the key names the account and the SID does
// not.
func (a *API) findSid(ctx context.Context, accounts []string, sid string) (*projections.Conference, error) {
	for _, account := range accounts {
		stored, err := a.Reader.Conference(ctx, events.Key{AccountSid: account, ConferenceSid: sid})
		switch {
		case err == nil:
			return stored.Conference, nil
		case !errors.Is(err, projections.ErrNotFound):
			return nil, fmt.Errorf("read conference: %w", err)
		}
	}
	return nil, projections.ErrNotFound
}

func (a *API) findName(ctx context.Context, accounts []string, name string) (*projections.Conference, error) {
	m := merge{reader: a.Reader}
	for _, account := range accounts {
		q := projections.Query{FriendlyName: &name, Limit: 1}
		m.shelves = append(m.shelves, newShelf(account, q, cursor{}))
	}
	c, err := m.next(ctx)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, projections.ErrNotFound
	}
	// A list need not hold whole records.
	return a.findSid(ctx, []string{c.AccountSid}, c.ConferenceSid)
}
