package api

import (
	"context"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/projections"
	"gavel/views"
)

// searchInput are the filters of a list; a conference must match all that are set.
type searchInput struct {
	Status       string    `query:"status" enum:"init,in-progress,completed"`
	FriendlyName string    `query:"friendly_name" maxLength:"1024" doc:"Exact"`
	Account      string    `query:"account" doc:"One AccountSid; default: all that the key can access"`
	CreatedFrom  time.Time `query:"created_from" doc:"Created at this moment or after"`
	CreatedTo    time.Time `query:"created_to" doc:"Created at this moment or before"`
	Limit        int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor       string    `query:"cursor" doc:"next of the previous page"`
}

// Conferences is one page, newest first.
type Conferences struct {
	Conferences []views.Conference `json:"conferences"`
	Next        string             `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
}

func (a *API) search(ctx context.Context, in *searchInput) (body Conferences, err error) {
	accounts, err := a.accounts(ctx, in.Account)
	if err != nil {
		return body, err
	}
	after, err := views.ParseCursor(in.Cursor)
	if err != nil {
		return body, huma.Error400BadRequest(err.Error())
	}
	page, next, more, err := a.views.List(ctx, accounts, in.query(), after)
	if body.Conferences = page; more {
		body.Next = next.String()
	}
	return body, err
}

func (in *searchInput) query() projections.Query {
	q := projections.Query{
		Status:  in.Status,
		Created: projections.Span{From: projections.At(in.CreatedFrom), To: projections.At(in.CreatedTo)},
		Limit:   in.Limit,
	}
	if in.FriendlyName != "" {
		q.FriendlyName = &in.FriendlyName
	}
	return q
}

// accounts returns the requested accounts that the key can access. An account that it
// cannot access is not found.
func (a *API) accounts(ctx context.Context, only string) ([]string, error) {
	who := identity(ctx)
	if only != "" {
		account := events.CanonicalSid(only)
		if !events.IsSid("AC", only) || !who.May(account) {
			return nil, huma.Error404NotFound("no such account")
		}
		return []string{account}, nil
	}
	if !who.All() {
		return who.Accounts, nil
	}
	accounts, err := a.Reader.Accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return accounts, nil
}
