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
	l, err := s.lockLane(lane)
	if err != nil {
		return nil, fmt.Errorf("read deadlines: %w", err)
	}
	defer l.mu.Unlock()
	spaces := l.spaces()
	found, err := newWalk(s.engine, dues(spaces, until.UnixMilli()), false, nil, most).next(ctx, most)
	if err != nil {
		return nil, fmt.Errorf("read deadlines: %w", err)
	}
	// An empty result is valid only if the picture still exists.
	metas, err := s.engine.Hashes(ctx, metaKeys(spaces))
	if err != nil {
		return nil, fmt.Errorf("read deadlines: %w", err)
	}
	if err := l.checkMetas(&l.claim, l.shards, metas); err != nil {
		return nil, err
	}
	out := make([]projections.Due, len(found))
	for i := range found {
		out[i] = dueOf(found[i].Ref)
	}
	return out, nil
}

// dues returns the ranges of deadlines of each key space, up to a time.
func dues(spaces []space, until int64) []Range {
	ranges := make([]Range, len(spaces))
	for i, sp := range spaces {
		ranges[i] = Range{Key: sp.due(), Min: Lowest, Max: until}
	}
	return ranges
}

// spaces returns the key spaces that the writer claimed.
func (l *lane) spaces() []space { return spacesOf(l.claim.epoch, l.shards) }

// Armed implements [projections.Reader].
func (s *Store) Armed(ctx context.Context, account string, most int) ([]projections.Due, error) {
	var out []projections.Due
	err := s.readAll(ctx, func(spaces []space) (err error) {
		out, err = newWalk(s.engine, dues(spaces, Highest), false, nil, most).armed(ctx, account, most)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list deadlines: %w", err)
	}
	return out, nil
}

// armed reads the deadlines of the account; an empty account selects all.
func (w *walk) armed(ctx context.Context, account string, most int) ([]projections.Due, error) {
	var out []projections.Due
	for len(out) < most {
		refs, err := w.next(ctx, most-len(out))
		if err != nil || len(refs) == 0 {
			return out, err
		}
		for _, m := range refs {
			if account == "" || strings.HasPrefix(m.Member, account+":") {
				out = append(out, dueOf(m.Ref))
			}
		}
	}
	return out, nil
}
