package picture

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gavel/events"
	"gavel/projections"
)

const (
	// maxPage bounds a page, as Twilio does.
	maxPage = 1000
	// maxLoad bounds the records loaded at once in search of matches.
	maxLoad = 1024
)

// Conferences implements [projections.Reader]. It returns whole records.
func (s *Store) Conferences(ctx context.Context, account string, q projections.Query) (projections.Page, error) {
	q.Limit = min(max(q.Limit, 1), maxPage)
	var l *list
	err := s.readAll(ctx, func(spaces []space) error {
		l = &list{engine: s.engine, spaces: spaces, account: account, query: q}
		return l.read(ctx)
	})
	if err == nil && l.badStart {
		err = projections.ErrBadPage
	}
	if err != nil {
		return projections.Page{}, fmt.Errorf("list conferences: %w", err)
	}
	return l.page(), nil
}

// list is one page that is being read.
type list struct {
	engine  Engine
	spaces  []space // by shard
	account string
	query   projections.Query
	// matched is in the order of the walk, with one more than the page holds if more exist.
	matched []*projections.Conference
	// badStart: the item that the page follows or precedes does not exist.
	badStart bool
}

// newest reports whether the walk goes from newer to older.
func (l *list) newest() bool { return l.query.Before == "" }

// read fills matched.
func (l *list) read(ctx context.Context) error {
	start, err := l.start(ctx)
	if err != nil || l.badStart {
		return err
	}
	best, err := l.shortest(ctx, routes(l.query))
	if err != nil {
		return err
	}
	if !l.newest() {
		slices.Reverse(best)
	}
	for _, seg := range best {
		w := newWalk(l.engine, seg.ranges(l.spaces, l.account), l.newest(), start, l.query.Limit)
		if err := l.gather(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// start finds the item that the page follows or precedes. Its place is its own
// Created and SID, so that pages do not shift while conferences arrive.
func (l *list) start(ctx context.Context) (*Ref, error) {
	sid := l.query.After + l.query.Before // one of them is empty
	if sid == "" {
		return nil, nil
	}
	records, err := l.load(ctx, []string{sid})
	if err != nil || records[0].Conference == nil {
		l.badStart = err == nil
		return nil, err
	}
	return &Ref{Score: int64(records[0].Conference.Created), Member: sid}, nil
}

// shortest returns the route with the fewest references.
func (l *list) shortest(ctx context.Context, all []route) (best route, err error) {
	least := math.MaxInt
	for _, r := range all {
		if len(all) == 1 {
			return r, nil
		}
		var ranges []Range
		for _, seg := range r {
			ranges = append(ranges, seg.ranges(l.spaces, l.account)...)
		}
		counts, err := l.engine.Counts(ctx, ranges)
		if err != nil {
			return nil, err
		}
		var sum int
		for _, n := range counts {
			sum += n
		}
		if sum < least {
			best, least = r, sum
		}
	}
	return best, nil
}

// gather reads until the page is full or the walk ends. While few references
// match, it loads more at once.
func (l *list) gather(ctx context.Context, w *walk) error {
	size := 0
	for missing := l.missing(); missing > 0; missing = l.missing() {
		size = min(max(missing, 2*size), maxLoad)
		refs, err := w.next(ctx, size)
		if err != nil || len(refs) == 0 {
			return err
		}
		sids := make([]string, len(refs))
		for i := range refs {
			sids[i] = refs[i].Member
		}
		records, err := l.load(ctx, sids)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Conference != nil && matches(r.Conference, l.query) {
				l.matched = append(l.matched, r.Conference)
			}
		}
	}
	return nil
}

// missing is how many matches are still needed: one more than the page holds,
// which shows whether more exist.
func (l *list) missing() int { return l.query.Limit + 1 - len(l.matched) }

// load returns the account's records with these SIDs.
func (l *list) load(ctx context.Context, sids []string) ([]projections.Stored, error) {
	keys := make([]events.Key, len(sids))
	names := make([]string, len(sids))
	for i, sid := range sids {
		keys[i] = events.Key{AccountSid: l.account, ConferenceSid: sid}
		names[i] = l.spaces[events.Shard(sid)].record(keys[i])
	}
	hashes, err := l.engine.Hashes(ctx, names)
	if err != nil {
		return nil, err
	}
	return decodeAll(keys, hashes)
}

// page cuts the matches to the page's size, newest first.
func (l *list) page() projections.Page {
	more := len(l.matched) > l.query.Limit
	found := l.matched[:min(len(l.matched), l.query.Limit)]
	if !l.newest() {
		slices.Reverse(found)
	}
	return projections.Page{Conferences: found, More: more}
}
