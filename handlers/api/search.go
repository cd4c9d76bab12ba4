package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/projections"
)

// searchInput are the filters of a list. All that are given count.
type searchInput struct {
	Status       string    `query:"status" enum:"init,in-progress,completed"`
	FriendlyName string    `query:"friendly_name" maxLength:"1024" doc:"Exact"`
	Account      string    `query:"account" doc:"One AccountSid; without it all that the key may see"`
	CreatedFrom  time.Time `query:"created_from" doc:"Created at this moment or after"`
	CreatedTo    time.Time `query:"created_to" doc:"Created at this moment or before"`
	Limit        int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor       string    `query:"cursor" doc:"next of the page before"`
}

// Conferences is one page, newest first.
type Conferences struct {
	Conferences []Conference `json:"conferences"`
	Next        string       `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
}

func (a *API) addConferences(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "list-conferences", Method: http.MethodGet, Path: Prefix + "conferences",
		Summary: "Conferences of all accounts that the key may see, newest first",
	}, a.search)
	huma.Register(h, huma.Operation{
		OperationID: "get-conference", Method: http.MethodGet, Path: Prefix + "conferences/{conference}",
		Summary: "Everything about one conference",
	}, a.get)
}

func (a *API) search(ctx context.Context, in *searchInput) (*answer[Conferences], error) {
	accounts, err := a.accounts(ctx, in.Account)
	if err != nil {
		return nil, a.problem(err)
	}
	from, err := parseCursor(in.Cursor)
	if err != nil {
		return nil, a.problem(err)
	}
	m := merge{reader: a.Reader}
	for _, account := range accounts {
		m.shelves = append(m.shelves, newShelf(account, in.query(len(accounts)), from))
	}
	out := &answer[Conferences]{Conferences{Conferences: []Conference{}}}
	now := a.Now()
	for len(out.Body.Conferences) < in.Limit {
		c, err := m.next(ctx)
		if err != nil {
			return nil, a.problem(err)
		}
		if c == nil {
			return out, nil
		}
		out.Body.Conferences = append(out.Body.Conferences, viewConference(c, now))
		from = cursor{c.Created, c.ConferenceSid}
	}
	more, err := m.newest(ctx)
	if more != nil {
		out.Body.Next = from.String()
	}
	return out, a.problem(err)
}

// query is what each account is asked. The more accounts there are, the less
// is read of each at a time: most of it would be thrown away.
func (in *searchInput) query(accounts int) projections.Query {
	q := projections.Query{
		Status:  in.Status,
		Created: projections.Span{From: projections.At(in.CreatedFrom), To: projections.At(in.CreatedTo)},
		Limit:   min(in.Limit, in.Limit/accounts+10),
	}
	if in.FriendlyName != "" {
		q.FriendlyName = &in.FriendlyName
	}
	return q
}

// accounts are those asked for, as far as the key may see them: a foreign one
// is as good as none.
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

// cursor is the place behind one conference in the order of lists: by Created,
// then by SID, both descending. It holds for all accounts at once. The zero
// cursor is the place in front of all.
type cursor struct {
	created projections.Instant
	sid     string
}

// String is how the cursor travels.
func (c cursor) String() string {
	return strconv.FormatInt(int64(c.created), 10) + "." + c.sid
}

func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	created, sid, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(created, 10, 64)
	if err != nil || !events.IsSid("CF", sid) {
		return cursor{}, huma.Error400BadRequest("cursor is not valid")
	}
	return cursor{projections.Instant(n), events.CanonicalSid(sid)}, nil
}

// passes reports whether a conference lies behind the cursor.
func (c cursor) passes(created projections.Instant, sid string) bool {
	if c.sid == "" || created < c.created {
		return true
	}
	return created == c.created && sid < c.sid
}

// shelf is one account's conferences behind a cursor, read as they are needed.
type shelf struct {
	account string
	query   projections.Query
	from    cursor
	ready   []*projections.Conference
	empty   bool // behind ready there is no more
}

func newShelf(account string, q projections.Query, from cursor) *shelf {
	if from.sid != "" && (q.Created.To == 0 || from.created < q.Created.To) {
		q.Created.To = from.created
	}
	return &shelf{account: account, query: q, from: from}
}

// first returns the newest, or nil.
func (s *shelf) first(ctx context.Context, r projections.Reader) (*projections.Conference, error) {
	for len(s.ready) == 0 && !s.empty {
		page, err := r.Conferences(ctx, s.account, s.query)
		if err != nil {
			return nil, fmt.Errorf("list conferences: %w", err)
		}
		for _, c := range page.Conferences {
			s.query.After = c.ConferenceSid
			if s.from.passes(c.Created, c.ConferenceSid) {
				s.ready = append(s.ready, c)
			}
		}
		s.empty = !page.More || len(page.Conferences) == 0
	}
	if len(s.ready) == 0 {
		return nil, nil
	}
	return s.ready[0], nil
}

// merge takes the newest off many shelves.
type merge struct {
	reader  projections.Reader
	shelves []*shelf
	best    *shelf
}

// newest returns the next conference without taking it, or nil.
func (m *merge) newest(ctx context.Context) (best *projections.Conference, err error) {
	for _, s := range m.shelves {
		c, err := s.first(ctx, m.reader)
		if err != nil {
			return nil, err
		}
		if c != nil && (best == nil || !(cursor{best.Created, best.ConferenceSid}).passes(c.Created, c.ConferenceSid)) {
			best, m.best = c, s
		}
	}
	return best, nil
}

// next takes the next conference, or returns nil.
func (m *merge) next(ctx context.Context) (*projections.Conference, error) {
	c, err := m.newest(ctx)
	if c != nil {
		m.best.ready = m.best.ready[1:]
	}
	return c, err
}
