package picture

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/projections"
)

// expireAtOnce bounds the records that one step reads while it locks the lane.
const expireAtOnce = 256

// Expire implements [projections.Writer]. It reads the conferences created before cutoff on
// Twilio's clock, oldest first; our own clock decides which of them are removed.
func (s *Store) Expire(ctx context.Context, number int, cutoff time.Time) (removed int, err error) {
	x := &expiry{store: s, cutoff: projections.At(cutoff)}
	x.claim = func() (*lane, error) { return s.lockLane(number) }
	x.same = func(c *Change, sp space) {
		c.when(sp.meta(), appliedField, x.lane.claim.written[sp.shard].String())
	}
	return x.run(ctx)
}

func (x *expiry) run(ctx context.Context) (removed int, err error) {
	for more := true; more && err == nil; {
		more, err = x.step(ctx)
	}
	if err != nil {
		return x.removed, fmt.Errorf("expire conferences: %w", err)
	}
	return x.removed, nil
}

// expiry is one pass over a lane. It locks the lane only during each step.
type expiry struct {
	store *Store
	// claim locks and returns the lane. same adds the condition that a shard was not written
	// since the step began.
	claim    func() (*lane, error)
	same     func(*Change, space)
	lane     *lane
	cutoff   projections.Instant
	epoch    string
	accounts []accountShard
	walk     *walk
	removed  int
}

// accountShard is an account's conferences in one shard.
type accountShard struct {
	space   space
	account string
}

func (h accountShard) all() Range {
	return Range{Key: h.space.index(h.account, allIndex), Min: Lowest, Max: Highest}
}

// step reads the next oldest conferences and removes those that are due.
func (x *expiry) step(ctx context.Context) (more bool, err error) {
	if x.lane, err = x.claim(); err != nil {
		return false, err
	}
	defer x.lane.mu.Unlock()
	if err := x.begin(ctx); err != nil || len(x.accounts) == 0 {
		return false, err
	}
	refs, err := x.walk.next(ctx, expireAtOnce)
	if err != nil {
		return false, err
	}
	if err := x.remove(ctx, refs); err != nil {
		return false, err
	}
	if len(refs) > 0 {
		return true, nil
	}
	return false, x.removeAccounts(ctx)
}

// begin finds the accounts of the lane in the first step, and later checks that
// the lane still has the same key space.
func (x *expiry) begin(ctx context.Context) error {
	c := &x.lane.claim
	if x.epoch == c.epoch {
		return nil
	}
	if x.epoch != "" {
		x.accounts = nil // rebuilt meanwhile; the next pass expires it
		return nil
	}
	x.epoch = c.epoch
	return x.findAccounts(ctx)
}

// findAccounts starts the walk over all accounts of the lane, oldest first.
func (x *expiry) findAccounts(ctx context.Context) error {
	spaces := x.lane.spaces()
	accounts, err := x.store.accountsOf(ctx, spaces)
	if err != nil {
		return err
	}
	var ranges []Range
	for i, refs := range accounts {
		for _, ref := range refs {
			h := accountShard{spaces[i], ref.Member}
			r := h.all()
			r.Max = int64(x.cutoff) - 1
			x.accounts, ranges = append(x.accounts, h), append(ranges, r)
		}
	}
	x.walk = newWalk(x.store.engine, ranges, false, nil, expireAtOnce)
	return nil
}

// remove removes the due conferences from records and indexes, each unless it
// was written meanwhile.
func (x *expiry) remove(ctx context.Context, refs []found) error {
	keys := make([]events.Key, len(refs))
	names := make([]string, len(refs))
	for i, m := range refs {
		h := x.accounts[m.from]
		keys[i] = events.Key{AccountSid: h.account, ConferenceSid: m.Member}
		names[i] = h.space.record(keys[i])
	}
	hashes, err := x.store.engine.Hashes(ctx, names)
	if err != nil {
		return err
	}
	records, err := decodeAll(keys, hashes)
	if err != nil {
		return err
	}
	var changes []Change
	for i, r := range records {
		// Our own clock decides whether the retention has passed.
		if r.Conference != nil && r.Book.LastEventAt != 0 && r.Book.LastEventAt < x.cutoff {
			changes = append(changes, removal(x.accounts[refs[i].from].space, r))
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
	key := s.record(stored.Conference.Key())
	c := Change{Records: []RecordWrite{{Key: key, Expect: encodeVersion(stored.Book.Version)}}}
	c.do(RemoveKey, key)
	c.updateIndexes(s, stored.Conference, nil)
	c.updateDue(s, stored.Conference, stored.Book.Due, 0)
	return c
}

// removeAccounts removes accounts without conferences from the list, unless the
// shard was written meanwhile.
func (x *expiry) removeAccounts(ctx context.Context) error {
	if x.removed == 0 {
		return nil
	}
	ranges := make([]Range, len(x.accounts))
	for i, h := range x.accounts {
		ranges[i] = h.all()
	}
	counts, err := x.store.engine.Counts(ctx, ranges)
	if err != nil {
		return err
	}
	var changes []Change
	for i, h := range x.accounts {
		if counts[i] > 0 {
			continue
		}
		var c Change
		x.same(&c, h.space)
		c.do(RemoveMember, h.space.accounts(), h.account)
		changes = append(changes, c)
	}
	_, err = x.store.engine.Apply(ctx, changes)
	return err
}
