package views

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gavel/events"
	"gavel/projections"
)

// Find returns the conference with the SID in one of the accounts, or the one with the friendly
// name: the live one, or the newest. The error is projections.ErrNotFound, or an *AmbiguousError.
func (s *Source) Find(ctx context.Context, accounts []string, sidOrName string) (*projections.Conference, error) {
	if events.IsSid("CF", sidOrName) {
		return s.findSid(ctx, accounts, events.CanonicalSid(sidOrName))
	}
	return s.findName(ctx, accounts, sidOrName)
}

// findSid reads every account: the key of a record contains the account, which cannot
// be derived from the SID.
func (s *Source) findSid(ctx context.Context, accounts []string, sid string) (*projections.Conference, error) {
	for _, account := range accounts {
		stored, err := s.Reader.Conference(ctx, events.Key{AccountSid: account, ConferenceSid: sid})
		switch {
		case err == nil:
			return stored.Conference, nil
		case !errors.Is(err, projections.ErrNotFound):
			return nil, fmt.Errorf("read conference: %w", err)
		}
	}
	return nil, projections.ErrNotFound
}

// AmbiguousError means that several accounts have a conference of one name.
type AmbiguousError struct {
	// Accounts are their AccountSids, of those that were searched.
	Accounts []string
}

// Error lists the accounts. It does not have the name, which can be a person's.
func (e *AmbiguousError) Error() string {
	return "conferences of that name are in the accounts " + strings.Join(e.Accounts, " and ")
}

// findName prefers the live conference of that name, then the one with the later journal position.
// If several accounts have the name, the error is an *AmbiguousError.
func (s *Source) findName(ctx context.Context, accounts []string, name string) (*projections.Conference, error) {
	var found *projections.Conference
	var in []string
	for _, account := range accounts {
		c, err := s.namedIn(ctx, account, name)
		if err != nil {
			return nil, err
		}
		if c != nil {
			found, in = c, append(in, account)
		}
	}
	switch len(in) {
	case 0:
		return nil, projections.ErrNotFound
	case 1:
		return found, nil
	}
	return nil, &AmbiguousError{in}
}

// mostNamed bounds the conferences of one name that are compared.
const mostNamed = 10

// namedIn returns findName's conference in one account, nil if the account has none.
func (s *Source) namedIn(ctx context.Context, account, name string) (best *projections.Conference, err error) {
	var all []*projections.Conference
	for _, status := range []string{projections.StatusInProgress, projections.StatusInit, ""} {
		if status == "" && len(all) > 0 {
			break
		}
		page, err := s.Reader.Conferences(ctx, account, projections.Query{FriendlyName: &name, Status: status, Limit: mostNamed})
		if err != nil {
			return nil, fmt.Errorf("list conferences of one name: %w", err)
		}
		for _, c := range page.Conferences {
			if status != "" || c.Created == page.Conferences[0].Created {
				all = append(all, c)
			}
		}
	}
	var at events.Position
	for _, c := range all {
		stored, err := s.Reader.Conference(ctx, c.Key()) // a list need not hold whole records
		switch {
		case errors.Is(err, projections.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("read conference: %w", err)
		case best == nil || stored.Book.Applied.After(at):
			best, at = stored.Conference, stored.Book.Applied
		}
	}
	return best, nil
}

// LiveNamed returns the conferences of a name that have not ended, at most 1,000.
func (s *Source) LiveNamed(ctx context.Context, account, name string) (all []*projections.Conference, err error) {
	for _, status := range []string{projections.StatusInProgress, projections.StatusInit} {
		page, err := s.Reader.Conferences(ctx, account, projections.Query{FriendlyName: &name, Status: status, Limit: 1000})
		if err != nil {
			return nil, fmt.Errorf("list conferences of one name: %w", err)
		}
		all = append(all, page.Conferences...)
	}
	return all, nil
}

// ErrCursor means that a text is not a cursor.
var ErrCursor = errors.New("cursor is not valid")

// List returns a page of the conferences of several accounts, the newest first: at most q.Limit
// that match q, behind after. next is the cursor of the next page; more is false on the last page.
func (s *Source) List(ctx context.Context, accounts []string, q projections.Query, after Cursor) (page []Conference, next Cursor, more bool, err error) {
	m := merge{reader: s.Reader}
	// With more accounts, less is read of each at a time, because most of it would not be used.
	each := q
	each.Limit = min(q.Limit, q.Limit/max(len(accounts), 1)+10)
	for _, account := range accounts {
		m.shelves = append(m.shelves, newShelf(account, each, after))
	}
	page, next = []Conference{}, after
	now := s.Now()
	for len(page) < q.Limit {
		c, err := m.next(ctx)
		if c == nil || err != nil {
			return page, next, false, err
		}
		page = append(page, NewConference(c, now))
		next = Cursor{c.Created, c.ConferenceSid}
	}
	further, err := m.newest(ctx)
	return page, next, further != nil, err
}

// Cursor is the place behind one conference in the order of lists: by Created,
// then by SID, both descending. It is valid across accounts. The zero Cursor is the
// place before the first conference.
type Cursor struct {
	created projections.Instant
	sid     string
}

// String returns the cursor as ParseCursor reads it.
func (c Cursor) String() string {
	return strconv.FormatInt(int64(c.created), 10) + "." + c.sid
}

// ParseCursor reads a cursor; an empty text is the zero Cursor. The error is ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	created, sid, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(created, 10, 64)
	if err != nil || !events.IsSid("CF", sid) {
		return Cursor{}, ErrCursor
	}
	return Cursor{projections.Instant(n), events.CanonicalSid(sid)}, nil
}

// passes reports whether a conference is behind the cursor.
func (c Cursor) passes(created projections.Instant, sid string) bool {
	if c.sid == "" || created < c.created {
		return true
	}
	return created == c.created && sid < c.sid
}

// shelf reads one account's conferences behind a cursor as they are needed.
type shelf struct {
	account string
	query   projections.Query
	from    Cursor
	ready   []*projections.Conference
	empty   bool // no conference follows those in ready
}

func newShelf(account string, q projections.Query, from Cursor) *shelf {
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

// merge merges several shelves, the newest conference first.
type merge struct {
	reader  projections.Reader
	shelves []*shelf
	best    *shelf
}

// newest returns the next conference without removing it, or nil.
func (m *merge) newest(ctx context.Context) (best *projections.Conference, err error) {
	for _, s := range m.shelves {
		c, err := s.first(ctx, m.reader)
		if err != nil {
			return nil, err
		}
		if c != nil && (best == nil || !(Cursor{best.Created, best.ConferenceSid}).passes(c.Created, c.ConferenceSid)) {
			best, m.best = c, s
		}
	}
	return best, nil
}

// next removes and returns the next conference, or nil.
func (m *merge) next(ctx context.Context) (*projections.Conference, error) {
	c, err := m.newest(ctx)
	if c != nil {
		m.best.ready = m.best.ready[1:]
	}
	return c, err
}
