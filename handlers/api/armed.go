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
	Account string `query:"account" doc:"One AccountSid; without it all that the key may see"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (a *API) listArmed(ctx context.Context, in *armedInput) (*answer[DeadlineList], error) {
	accounts, err := a.scope(ctx, in.Account)
	if err != nil {
		return nil, a.problem(err)
	}
	deadlines, err := a.views.Deadlines(ctx, accounts, in.Limit)
	if err != nil {
		return nil, a.problem(err)
	}
	return &answer[DeadlineList]{DeadlineList{deadlines}}, nil
}

// scope are the accounts to ask about where an empty one means all: what the
// key may see, of what was asked for.
func (a *API) scope(ctx context.Context, only string) ([]string, error) {
	if only == "" && identity(ctx).All() {
		return []string{""}, nil
	}
	return a.accounts(ctx, only)
}
