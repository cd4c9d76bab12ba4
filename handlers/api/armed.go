package api

import (
	"context"

	"gavel/views"
)

// DeadlineList is deadlines, the earliest first.
type DeadlineList struct {
	Deadlines []views.Deadline `json:"deadlines"`
}

type armedInput struct {
	Account string `query:"account" doc:"One AccountSid; default: all that the key can access"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (a *API) listArmed(ctx context.Context, in *armedInput) (DeadlineList, error) {
	accounts, err := a.scope(ctx, in.Account)
	if err != nil {
		return DeadlineList{}, err
	}
	deadlines, err := a.views.Deadlines(ctx, accounts, in.Limit)
	return DeadlineList{deadlines}, err
}

// scope returns the requested accounts that the key can access, for queries where an
// empty account means all.
func (a *API) scope(ctx context.Context, only string) ([]string, error) {
	if only == "" && identity(ctx).All() {
		return []string{""}, nil
	}
	return a.accounts(ctx, only)
}
