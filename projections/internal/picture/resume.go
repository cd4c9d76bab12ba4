package picture

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"gavel/projections"
)

// Resume withdraws a lane's picture from readers and returns it as a build that a fill continues
// behind the position that the picture had reached. It is for a picture that was read from a
// snapshot: readers must not find what the snapshot had until the fill has added what is newer. The
// error is ErrLost if the picture is not whole.
func (s *Store) Resume(ctx context.Context, number int) (projections.Resumed, error) {
	l, err := s.lane(number)
	if err != nil {
		return projections.Resumed{}, fmt.Errorf("resume the picture: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := s.pointer(ctx, number)
	if err != nil {
		return projections.Resumed{}, fmt.Errorf("resume the picture: %w", err)
	}
	if p.epoch == "" {
		return projections.Resumed{}, l.lost("it was never filled")
	}
	b := &build{store: s, lane: l, pointer: laneKey(number), epoch: p.epoch}
	state, err := b.readWhole(ctx, p)
	if err != nil {
		return projections.Resumed{}, err
	}
	if _, err := s.apply(ctx, b.hide(p)); err != nil {
		return projections.Resumed{}, fmt.Errorf("resume the picture: %w", err)
	}
	for _, epoch := range append(p.drops, p.build) {
		s.sweep(number, epoch)
	}
	return projections.Resumed{Build: b, Applied: p.applied, State: state}, nil
}

// readWhole checks that all shards of the epoch exist, none of them before the pointer's copy of
// its position, and reads their counts and the lane's own state.
func (b *build) readWhole(ctx context.Context, p pointer) (state []byte, err error) {
	keys := append(metaKeys(spacesOf(p.epoch, b.lane.shards)), stateKey(p.epoch, b.lane.number))
	hashes, err := b.store.engine.Hashes(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("resume the picture: %w", err)
	}
	metas, stored := hashes[:len(b.lane.shards)], hashes[len(b.lane.shards)]
	if _, err := b.lane.check(p, metas, 0); err != nil {
		return nil, err
	}
	for i, shard := range b.lane.shards {
		b.counts[shard], _ = strconv.Atoi(metas[i][countField])
	}
	if stored[appliedField] != p.state {
		return nil, b.lane.lost("its state is at %q, not at %q", stored[appliedField], p.state)
	}
	if p.state == "" {
		return nil, nil
	}
	return []byte(stored[bytesField]), nil
}

// hide is the change that makes the epoch a build that readers do not find.
func (b *build) hide(p pointer) (c Change) {
	remove := []string{epochField, appliedField, stateField}
	for shard := range p.shards {
		remove = append(remove, shardField+strconv.Itoa(shard))
	}
	c.do(RemoveFields, b.pointer, remove...)
	if p.build != "" {
		c.do(SetFields, b.pointer, dropField+p.build, "1")
	}
	c.do(SetFields, b.pointer, buildField, b.epoch)
	return c
}

// Filled reports whether readers find every lane.
func (s *Store) Filled(ctx context.Context) (bool, error) {
	hashes, err := s.engine.Hashes(ctx, s.Pointers())
	if err != nil {
		return false, fmt.Errorf("read the pointers of all lanes: %w", err)
	}
	return !slices.ContainsFunc(hashes, func(hash map[string]string) bool { return hash[epochField] == "" }), nil
}

// Pointers returns the keys of the lanes' pointers. A snapshot that copies them first, and each of
// the other slots at any later time, is one that Resume can continue: shards are written before
// their pointer, and may be newer than it.
func (s *Store) Pointers() []string {
	keys := make([]string, len(s.lanes))
	for i := range s.lanes {
		keys[i] = laneKey(i)
	}
	return keys
}
