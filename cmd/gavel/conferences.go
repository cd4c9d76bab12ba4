package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/views"
)

// conferencesCommand lists and shows conferences.
type conferencesCommand struct {
	List     conferencesList     `cmd:"" help:"List conferences, newest first."`
	Get      conferencesGet      `cmd:"" help:"Show everything about one conference."`
	Timeline conferencesTimeline `cmd:"" help:"Show what happened in one conference, in order."`
}

// conferencesList lists conferences.
type conferencesList struct {
	clientFlags
	Status  string `enum:",init,in-progress,completed" default:"" placeholder:"STATUS" help:"init, in-progress or completed."`
	Name    string `placeholder:"NAME" help:"Only this friendly name."`
	Account string `placeholder:"SID" help:"Only this account."`
	Since   string `placeholder:"AGE" help:"Only those created within this age: 2h, 30d."`
	Limit   int    `default:"50" help:"At most this many (default ${default})."`
}

// pageSize is how many conferences one request fetches, the most that /v1 allows.
const pageSize = 200

// Run lists.
func (c *conferencesList) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	query, err := c.query()
	if err != nil {
		return usageError{err}
	}
	found, err := client.conferences(ctx, query, c.Limit)
	if err != nil {
		return err
	}
	return c.print(t, found, func(w io.Writer) error { return render.Conferences(w, found, time.Now()) })
}

func (c *conferencesList) query() (url.Values, error) {
	query := queryOf(map[string]string{"status": c.Status, "friendly_name": c.Name, "account": c.Account})
	return query, narrow(query, "created_from", c.Since, c.Limit)
}

// narrow checks --since and --limit of a list. It adds the first to the query as the time that is so long ago.
func narrow(query url.Values, parameter, since string, limit int) error {
	if since != "" {
		age, err := parseAge(since)
		if err != nil {
			return fmt.Errorf("--since: %w", err)
		}
		query.Set(parameter, time.Now().Add(-age).UTC().Format(time.RFC3339))
	}
	if limit < 1 {
		return fmt.Errorf("--limit: %d is less than 1", limit)
	}
	return nil
}

// conferences reads conferences, at most limit.
func (c *client) conferences(ctx context.Context, query url.Values, limit int) ([]views.Conference, error) {
	return pages(ctx, c, "conferences", query, limit, func(p api.Conferences) ([]views.Conference, string) { return p.Conferences, p.Next })
}

// pages reads pages until it has limit items or no page is left. items returns those of a page and
// the cursor of the next one.
func pages[P, T any](ctx context.Context, c *client, path string, query url.Values, limit int, items func(P) ([]T, string)) ([]T, error) {
	found := []T{}
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(found), pageSize)))
		var page P
		if err := c.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return nil, err
		}
		more, next := items(page)
		if found = append(found, more...); next == "" || len(found) >= limit {
			return found, nil
		}
		query.Set("cursor", next)
	}
}

// conferenceArgument names one conference.
type conferenceArgument struct {
	Conference string `arg:"" placeholder:"SID|NAME" help:"ConferenceSid, or a friendly name: the live conference of that name, else the newest."`
	Account    string `placeholder:"SID" help:"Only this account."`
}

func (a conferenceArgument) path() string { return "conferences/" + url.PathEscape(a.Conference) }

func (a conferenceArgument) query() url.Values {
	return queryOf(map[string]string{"account": a.Account})
}

// conferencesGet shows one conference.
type conferencesGet struct {
	clientFlags
	conferenceArgument
}

// Run shows it.
func (c *conferencesGet) Run(ctx context.Context, t *terminal) error {
	return request[views.Record]{path: c.path(), query: c.query(), text: render.Card}.run(ctx, c.clientFlags, t)
}

// conferencesTimeline shows what happened in one conference.
type conferencesTimeline struct {
	clientFlags
	conferenceArgument
}

// Run shows it.
func (c *conferencesTimeline) Run(ctx context.Context, t *terminal) error {
	return request[api.TimelineBody]{
		path:  c.path() + "/timeline",
		query: c.query(),
		text: func(w io.Writer, body api.TimelineBody) error {
			return render.Timeline(w, body, render.PaletteFor(w, t.lookup))
		},
	}.run(ctx, c.clientFlags, t)
}
