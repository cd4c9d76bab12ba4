package rest

import (
	"context"
	"fmt"
	"net/url"

	"gavel/projections"
)

// listConferences answers GET .../Conferences.json, newest first.
func (h *Handler) listConferences(ctx context.Context, t target, q url.Values) ([]byte, error) {
	f := &filters{q: q}
	query := conferenceQuery(f)
	if query.Status == "" {
		query.Status = h.ListDefault
	}
	p, err := f.paging("CF")
	if err != nil {
		return nil, err
	}
	query.Limit, query.After = p.size, p.anchor
	if p.back {
		query.After, query.Before = "", p.anchor
	}
	page, err := h.Reader.Conferences(ctx, t.account, query)
	if err != nil {
		return nil, fmt.Errorf("list conferences: %w", err)
	}
	return list[*projections.Conference]{
		key: "conferences", path: t.path, filters: f.kept, paging: p,
		items: page.Conferences, more: page.More,
		sid:    func(c *projections.Conference) string { return c.ConferenceSid },
		append: projections.AppendConference,
	}.appendTo(nil), nil
}

// conferenceQuery reads the filters of the list of conferences.
func conferenceQuery(f *filters) (q projections.Query) {
	if status, ok := f.text("Status"); ok {
		switch status {
		case projections.StatusInit, projections.StatusInProgress, projections.StatusCompleted:
			q.Status, q.Waiting = status, true
		default:
			f.refuse("Status must be init, in-progress or completed")
		}
	}
	if name, ok := f.text("FriendlyName"); ok {
		q.FriendlyName = &name
	}
	q.Created, q.Updated = f.span("DateCreated"), f.span("DateUpdated")
	return q
}
