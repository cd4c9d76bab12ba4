package api

import (
	"context"

	"gavel/projections"
	"gavel/views"
)

// conferenceInput names a conference.
type conferenceInput struct {
	Conference string `path:"conference" maxLength:"1024" doc:"Its SID, or a friendly name: the live conference of that name, else the newest; 409 if several accounts have one"`
	Account    string `query:"account" doc:"One AccountSid; default: all that the key can access"`
}

func (a *API) get(ctx context.Context, in *conferenceInput) (views.Record, error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return views.Record{}, err
	}
	return views.NewRecord(c, a.Now()), nil
}

// find returns the conference with the SID, or the newest with the name, in the
// accounts that the key can access.
func (a *API) find(ctx context.Context, in *conferenceInput) (*projections.Conference, error) {
	accounts, err := a.accounts(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	return a.views.Find(ctx, accounts, in.Conference)
}
