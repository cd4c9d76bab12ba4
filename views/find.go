package views

import (
	"context"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/projections"
)

// Find returns the conference of that SID in one of the accounts, or the newest
// of that friendly name in all of them, or projections.ErrNotFound.
func (s *Source) Find(ctx context.Context, accounts []string, sidOrName string) (*projections.Conference, error) {
	if events.IsSid("CF", sidOrName) {
		return s.findSid(ctx, accounts, events.CanonicalSid(sidOrName))
	}
	return s.findName(ctx, accounts, sidOrName)
}

// findSid asks every account: the record's key has the account, and the SID does
// not tell it.
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

func (s *Source) findName(ctx context.Context, accounts []string, name string) (*projections.Conference, error) {
	m := merge{reader: s.Reader}
	for _, account := range accounts {
		q := projections.Query{FriendlyName: &name, Limit: 1}
		m.shelves = append(m.shelves, newShelf(account, q, Cursor{}))
	}
	c, err := m.next(ctx)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, projections.ErrNotFound
	}
	// A list need not hold whole records.
	return s.findSid(ctx, []string{c.AccountSid}, c.ConferenceSid)
}
