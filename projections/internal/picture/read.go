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

// pointersFor is how long readers use the pointers they last read. A replaced
// picture is detected at once all the same, by its metas.
const pointersFor = time.Second

// snapshot holds the pointers of all lanes at a time.
type snapshot struct {
	at    time.Time
	lanes []pointer
}

// loadPointers returns the pointers; it reads them again if fresh is set or the
// last snapshot is too old.
func (s *Store) loadPointers(ctx context.Context, fresh bool) (*snapshot, error) {
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

// readComplete calls read with the key spaces of shards, and repeats it until the picture that it
// read still exists afterwards: only then is a record that was not found really absent. It returns
// the failure if the pointers have not changed since.
func (s *Store) readComplete(ctx context.Context, shards []int, read func([]space) (complete bool, err error)) error {
	seen, err := s.loadPointers(ctx, false)
	if err != nil {
		return err
	}
	for {
		spaces, failure := seen.spaces(shards)
		if failure == nil {
			if complete, err := read(spaces); complete || err != nil {
				return err
			}
			failure = projections.ErrLost
		}
		before := seen
		if seen, err = s.loadPointers(ctx, true); err != nil {
			return err
		}
		if seen.same(before) {
			return failure
		}
	}
}

// same reports whether both name the same key spaces.
func (seen *snapshot) same(other *snapshot) bool {
	return slices.EqualFunc(seen.lanes, other.lanes, func(a, b pointer) bool {
		return a.epoch == b.epoch && a.build == b.build
	})
}

// Conference implements [projections.Reader].
func (s *Store) Conference(ctx context.Context, key events.Key) (projections.Stored, error) {
	var stored projections.Stored
	shards := []int{events.Shard(key.ConferenceSid)}
	err := s.readComplete(ctx, shards, func(spaces []space) (complete bool, err error) {
		hashes, err := s.engine.Hashes(ctx, []string{spaces[0].record(key), spaces[0].meta()})
		if err != nil {
			return false, err
		}
		if stored, err = decode(key, hashes[0]); err != nil {
			return false, err
		}
		return isComplete(hashes[1]), nil
	})
	if err != nil {
		return projections.Stored{}, fmt.Errorf("read conference: %w", err)
	}
	if stored.Conference == nil {
		return projections.Stored{}, fmt.Errorf("read conference: %w", projections.ErrNotFound)
	}
	return stored, nil
}

// allShards are the shards that a list merges.
var allShards = laneShards(0, 1)

// readAll is readComplete for a read of all shards.
func (s *Store) readAll(ctx context.Context, read func([]space) error) error {
	return s.readComplete(ctx, allShards, func(spaces []space) (bool, error) {
		if err := read(spaces); err != nil {
			return false, err
		}
		metas, err := s.engine.Hashes(ctx, metaKeys(spaces))
		gone := slices.ContainsFunc(metas, func(meta map[string]string) bool { return !isComplete(meta) })
		return err == nil && !gone, err
	})
}

// isComplete reports whether the key space with this meta exists and was committed.
func isComplete(meta map[string]string) bool { return meta[appliedField] != "" }

// Accounts implements [projections.Reader].
func (s *Store) Accounts(ctx context.Context) ([]string, error) {
	var accounts []string
	err := s.readAll(ctx, func(spaces []space) (err error) {
		accounts, err = s.accounts(ctx, spaces)
		return err
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
