package api

import (
	"context"

	"gavel/projections"
	"gavel/views"
)

// conferenceInput names a conference.
type conferenceInput struct {
	Conference string `path:"conference" maxLength:"1024" doc:"Its SID, or a friendly name for the newest of that name"`
	Account    string `query:"account" doc:"One AccountSid; without it all that the key may see"`
}

func (a *API) get(ctx context.Context, in *conferenceInput) (*answer[views.Record], error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return nil, a.problem(err)
	}
	return &answer[views.Record]{views.NewRecord(c, a.Now())}, nil
}

// find returns the conference of that SID, or the newest of that name, in the
// accounts that the key may see.
func (a *API) find(ctx context.Context, in *conferenceInput) (*projections.Conference, error) {
	accounts, err := a.accounts(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	return a.views.Find(ctx, accounts, in.Conference)
}
