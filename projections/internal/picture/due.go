package picture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gavel/projections"
)

// Due implements [projections.Writer].
func (s *Store) Due(ctx context.Context, lane int, until time.Time, most int) ([]projections.Due, error) {
	l, err := s.hold(lane)
	if err != nil {
		return nil, fmt.Errorf("look for deadlines: %w", err)
	}
	defer l.mu.Unlock()
	found, err := newWalk(s.engine, dues(l.spaces(), until.UnixMilli()), false, nil, most).take(ctx, most)
	if err != nil {
		return nil, fmt.Errorf("look for deadlines: %w", err)
	}
	// That nothing is due may be believed only where the picture is still there.
	metas, err := s.engine.Hashes(ctx, metaKeys(l.claim.epoch, l.shards))
	if err != nil {
		return nil, fmt.Errorf("look for deadlines: %w", err)
	}
	for i, shard := range l.shards {
		if err := l.see(&l.claim, shard, metas[i]); err != nil {
			return nil, err
		}
	}
	out := make([]projections.Due, len(found))
	for i := range found {
		out[i] = dueOf(found[i].Ref)
	}
	return out, nil
}

// dues are the deadlines of each key space up to a moment.
func dues(spaces []space, until int64) []Range {
	ranges := make([]Range, len(spaces))
	for i, sp := range spaces {
		ranges[i] = Range{Key: sp.due(), Min: Lowest, Max: until}
	}
	return ranges
}

// spaces are those that the writer claimed.
func (l *lane) spaces() []space {
	spaces := make([]space, len(l.shards))
	for i, shard := range l.shards {
		spaces[i] = l.claim.spaces[shard]
	}
	return spaces
}

// Armed implements [projections.Reader].
func (s *Store) Armed(ctx context.Context, account string, most int) ([]projections.Due, error) {
	var out []projections.Due
	err := s.whole(ctx, allShards, func(spaces []space) (bool, error) {
		var err error
		w := newWalk(s.engine, dues(spaces, Highest), false, nil, most)
		if out, err = w.armed(ctx, account, most); err != nil {
			return false, err
		}
		return s.intact(ctx, spaces)
	})
	if err != nil {
		return nil, fmt.Errorf("list deadlines: %w", err)
	}
	return out, nil
}

// armed takes what is of the account, or of any where it is empty.
func (w *walk) armed(ctx context.Context, account string, most int) ([]projections.Due, error) {
	var out []projections.Due
	for len(out) < most {
		met, err := w.take(ctx, most-len(out))
		if err != nil || len(met) == 0 {
			return out, err
		}
		for _, m := range met {
			if account == "" || strings.HasPrefix(m.Member, account+":") {
				out = append(out, dueOf(m.Ref))
			}
		}
	}
	return out, nil
}
