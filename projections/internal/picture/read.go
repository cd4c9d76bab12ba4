package picture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
)

// pointersFor is how long readers trust what they last saw of the pointers. A
// picture that was replaced is noticed at once all the same, by its metas.
const pointersFor = time.Second

// snapshot is the pointers of all lanes as they were at a time.
type snapshot struct {
	at    time.Time
	lanes []pointer
}

// look returns the pointers, read anew where fresh is wanted or the last look
// is too old.
func (s *Store) look(ctx context.Context, fresh bool) (*snapshot, error) {
	if seen := s.pointers.Load(); !fresh && time.Since(seen.at) < pointersFor {
		return seen, nil
	}
	now := time.Now()
	keys := make([]string, len(s.lanes))
	for n := range keys {
		keys[n] = laneKey(n)
	}
	hashes, err := s.engine.Hashes(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read the pointers of the lanes: %w", err)
	}
	seen := &snapshot{at: now}
	for _, hash := range hashes {
		seen.lanes = append(seen.lanes, parsePointer(hash))
	}
	s.pointers.Store(seen)
	return seen, nil
}

// spaces returns the key spaces of shards.
func (seen *snapshot) spaces(shards []int) ([]space, error) {
	out := make([]space, len(shards))
	for i, shard := range shards {
		p := seen.lanes[shard%len(seen.lanes)]
		switch {
		case p.epoch == "" && p.build != "":
			return nil, projections.ErrFilling
		case !strings.HasPrefix(p.epoch, layout):
			return nil, projections.ErrLost
		}
		out[i] = newSpace(p.epoch, shard)
	}
	return out, nil
}

// whole calls read with the key spaces of shards, until it read from a picture
// that was still there afterwards: what is absent from it is truly absent. It
// gives up once the pointers stay as they are.
func (s *Store) whole(ctx context.Context, shards []int, read func([]space) (whole bool, err error)) error {
	seen, err := s.look(ctx, false)
	if err != nil {
		return err
	}
	for {
		spaces, verdict := seen.spaces(shards)
		if verdict == nil {
			if whole, err := read(spaces); whole || err != nil {
				return err
			}
			verdict = projections.ErrLost
		}
		before := seen
		if seen, err = s.look(ctx, true); err != nil {
			return err
		}
		if seen.same(before) {
			return verdict
		}
	}
}

// same reports whether both show the same key spaces.
func (seen *snapshot) same(other *snapshot) bool {
	return slices.EqualFunc(seen.lanes, other.lanes, func(a, b pointer) bool {
		return a.epoch == b.epoch && a.build == b.build
	})
}

// Conference implements [projections.Reader].
func (s *Store) Conference(ctx context.Context, key events.Key) (projections.Stored, error) {
	var stored projections.Stored
	shards := []int{events.Shard(key.ConferenceSid)}
	err := s.whole(ctx, shards, func(spaces []space) (whole bool, err error) {
		hashes, err := s.engine.Hashes(ctx, []string{spaces[0].record(key), spaces[0].meta()})
		if err != nil {
			return false, err
		}
		if stored, err = decode(key, hashes[0]); err != nil {
			return false, err
		}
		return isWhole(hashes[1]), nil
	})
	if err != nil {
		return projections.Stored{}, fmt.Errorf("read conference: %w", err)
	}
	if stored.Conference == nil {
		return projections.Stored{}, fmt.Errorf("read conference: %w", projections.ErrNotFound)
	}
	return stored, nil
}

// allShards are what a list is merged from.
var allShards = laneShards(0, 1)

// intact reports whether the key spaces are all still there.
func (s *Store) intact(ctx context.Context, spaces []space) (bool, error) {
	keys := make([]string, len(spaces))
	for i, sp := range spaces {
		keys[i] = sp.meta()
	}
	metas, err := s.engine.Hashes(ctx, keys)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(metas, func(meta map[string]string) bool { return !isWhole(meta) }), nil
}

// isWhole reports whether the key space of a meta is there and was committed.
func isWhole(meta map[string]string) bool { return meta[appliedField] != "" }

// Accounts implements [projections.Reader].
func (s *Store) Accounts(ctx context.Context) ([]string, error) {
	var accounts []string
	err := s.whole(ctx, allShards, func(spaces []space) (bool, error) {
		var err error
		if accounts, err = s.accounts(ctx, spaces); err != nil {
			return false, err
		}
		return s.intact(ctx, spaces)
	})
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return accounts, nil
}

func (s *Store) accounts(ctx context.Context, spaces []space) ([]string, error) {
	found, err := s.accountsOf(ctx, spaces)
	if err != nil {
		return nil, err
	}
	var accounts []string
	for _, ref := range slices.Concat(found...) {
		accounts = append(accounts, ref.Member)
	}
	slices.Sort(accounts)
	return slices.Compact(accounts), nil
}

// accountsOf returns the accounts of each key space.
func (s *Store) accountsOf(ctx context.Context, spaces []space) ([][]Ref, error) {
	ranges := make([]Range, len(spaces))
	for i, sp := range spaces {
		ranges[i] = Range{Key: sp.accounts(), Min: Lowest, Max: Highest}
	}
	return s.engine.Ranges(ctx, ranges)
}
