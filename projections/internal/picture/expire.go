package picture

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/projections"
)

// expireAtOnce bounds the records looked at while the lane is held.
const expireAtOnce = 256

// Expire implements [projections.Writer]. What Twilio says was created before
// cutoff is looked at, oldest first; our own clock says whether it goes.
func (s *Store) Expire(ctx context.Context, lane int, cutoff time.Time) (removed int, err error) {
	x := &expiry{store: s, number: lane, cutoff: projections.At(cutoff)}
	for more := true; more && err == nil; {
		more, err = x.step(ctx)
	}
	if err != nil {
		return x.removed, fmt.Errorf("expire conferences: %w", err)
	}
	return x.removed, nil
}

// expiry is one pass over a lane. It holds the lane only step by step.
type expiry struct {
	store   *Store
	number  int
	lane    *lane
	cutoff  projections.Instant
	epoch   string
	homes   []home
	walk    *walk
	removed int
}

// home is an account in a shard.
type home struct {
	space   space
	account string
}

func (h home) all() Range {
	return Range{Key: h.space.index(h.account, allIndex), Min: Lowest, Max: Highest}
}

// step looks at the next oldest conferences and removes those that are due.
func (x *expiry) step(ctx context.Context) (more bool, err error) {
	if x.lane, err = x.store.hold(x.number); err != nil {
		return false, err
	}
	defer x.lane.mu.Unlock()
	if err := x.begin(ctx); err != nil || len(x.homes) == 0 {
		return false, err
	}
	met, err := x.walk.take(ctx, expireAtOnce)
	if err != nil {
		return false, err
	}
	if err := x.remove(ctx, met); err != nil {
		return false, err
	}
	if len(met) > 0 {
		return true, nil
	}
	return false, x.forgetAccounts(ctx)
}

// begin finds the accounts of the lane, the first time, and later sees to it
// that the picture is still the same.
func (x *expiry) begin(ctx context.Context) error {
	c := &x.lane.claim
	if x.epoch == c.epoch {
		return nil
	}
	if x.epoch != "" {
		x.homes = nil // rebuilt meanwhile; the next pass sees to it
		return nil
	}
	x.epoch = c.epoch
	return x.find(ctx)
}

// find begins the walk over all accounts of the lane, oldest first.
func (x *expiry) find(ctx context.Context) error {
	spaces := x.lane.spaces()
	accounts, err := x.store.accountsOf(ctx, spaces)
	if err != nil {
		return err
	}
	var ranges []Range
	for i, refs := range accounts {
		for _, ref := range refs {
			h := home{spaces[i], ref.Member}
			r := h.all()
			r.Max = int64(x.cutoff) - 1
			x.homes, ranges = append(x.homes, h), append(ranges, r)
		}
	}
	x.walk = newWalk(x.store.engine, ranges, false, nil, expireAtOnce)
	return nil
}

// remove takes the conferences that are due out of records and indexes, each
// unless it was written meanwhile.
func (x *expiry) remove(ctx context.Context, met []found) error {
	keys := make([]events.Key, len(met))
	names := make([]string, len(met))
	for i, m := range met {
		h := x.homes[m.from]
		keys[i] = events.Key{AccountSid: h.account, ConferenceSid: m.Member}
		names[i] = h.space.record(keys[i])
	}
	hashes, err := x.store.engine.Hashes(ctx, names)
	if err != nil {
		return err
	}
	var changes []Change
	for i := range hashes {
		stored, err := decode(keys[i], hashes[i])
		if err != nil {
			return err
		}
		if stored.Conference != nil && x.due(stored) {
			changes = append(changes, removal(x.homes[met[i].from].space, stored))
		}
	}
	outcomes, err := x.store.engine.Apply(ctx, changes)
	for _, out := range outcomes {
		if out.Failed == Done {
			x.removed++
		}
	}
	return err
}

func removal(s space, stored projections.Stored) Change {
	key := s.record(keyOf(stored.Conference))
	c := Change{Records: []RecordWrite{{Key: key, Expect: encodeVersion(stored.Book.Version)}}}
	c.do(RemoveKey, key)
	c.reindex(s, stored.Conference, nil)
	c.redue(s, stored.Conference, stored.Book.Due, 0)
	return c
}

// forgetAccounts takes accounts whose last conference went off the list, unless
// the shard was written meanwhile.
func (x *expiry) forgetAccounts(ctx context.Context) error {
	if x.removed == 0 {
		return nil
	}
	ranges := make([]Range, len(x.homes))
	for i, h := range x.homes {
		ranges[i] = h.all()
	}
	counts, err := x.store.engine.Counts(ctx, ranges)
	if err != nil {
		return err
	}
	var changes []Change
	for i, h := range x.homes {
		if counts[i] > 0 {
			continue
		}
		var c Change
		c.when(h.space.meta(), appliedField, x.lane.claim.written[h.space.shard].String())
		c.do(RemoveMember, h.space.accounts(), h.account)
		changes = append(changes, c)
	}
	_, err = x.store.engine.Apply(ctx, changes)
	return err
}

// due reports whether a conference is to be forgotten.
func (x *expiry) due(s projections.Stored) bool {
	return s.Book.LastEventAt != 0 && s.Book.LastEventAt < x.cutoff
}
