package picture

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gavel/events"
	"gavel/projections"
)

// build is a key space that is being built. Each shard's meta counts the
// writes put, and every step compares the count, so that a Redis that restarts
// from an old snapshot during the build is noticed.
type build struct {
	store   *Store
	lane    *lane
	pointer string // the lane's key
	epoch   string
	counts  [events.Shards]int
}

// Build implements [projections.Writer]. A lane has one build at a time: a
// newer build ends the older one, whose process may have died.
func (s *Store) Build(ctx context.Context, lane int) (projections.Build, error) {
	l, err := s.lane(lane)
	if err != nil {
		return nil, fmt.Errorf("begin build: %w", err)
	}
	b := &build{store: s, lane: l, pointer: laneKey(lane), epoch: newEpoch()}
	p, err := b.switchPointer(ctx, func(p pointer, c *Change) bool {
		c.do(SetFields, b.pointer, buildField, b.epoch)
		if p.build != "" {
			c.do(SetFields, b.pointer, dropField+p.build, "1")
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("begin build: %w", err)
	}
	for _, epoch := range append(p.drops, p.build) {
		s.sweep(lane, epoch)
	}
	return b, nil
}

// switchPointer changes the lane's pointer from its current value, and returns
// that value. If decide returns false, it changes nothing.
func (b *build) switchPointer(ctx context.Context, decide func(pointer, *Change) bool) (pointer, error) {
	for {
		p, err := b.store.pointer(ctx, b.lane.number)
		if err != nil {
			return pointer{}, err
		}
		var c Change
		c.when(b.pointer, epochField, p.epoch)
		c.when(b.pointer, buildField, p.build)
		if !decide(p, &c) {
			return p, nil
		}
		out, err := b.store.apply(ctx, c)
		if err != nil {
			return pointer{}, fmt.Errorf("change the pointer of lane %d: %w", b.lane.number, err)
		}
		if out.Failed == Done {
			return p, nil
		}
	}
}

// Load implements [projections.Build]. If Redis lost the build meanwhile, a record may be reported
// as absent: the next Put to its shard, or Commit, notices that.
func (b *build) Load(ctx context.Context, keys []events.Key) ([]projections.Stored, error) {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = newSpace(b.epoch, events.Shard(key.ConferenceSid)).record(key)
	}
	hashes, err := b.store.engine.Hashes(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("load records of a build: %w", err)
	}
	out, err := decodeAll(keys, hashes)
	if err != nil {
		return nil, fmt.Errorf("load records of a build: %w", err)
	}
	return out, nil
}

// Put implements [projections.Build].
func (b *build) Put(ctx context.Context, writes []projections.Write) error {
	puts := b.puts(writes)
	changes := make([]Change, len(puts))
	for i, p := range puts {
		changes[i] = p.change
	}
	outcomes, err := b.store.engine.Apply(ctx, changes)
	if err != nil {
		return fmt.Errorf("put records: %w", err)
	}
	for i, p := range puts {
		if !p.stored(outcomes[i]) {
			return b.lane.lost("the build of shard %d is gone", p.shard)
		}
	}
	return nil
}

// put is a part of a Put: one change to one shard, after which the shard has count writes.
type put struct {
	shard, count int
	change       Change
}

// stored reports whether the put is in the shard. A client resends a change
// when a connection breaks, so the change may have been applied before.
func (p put) stored(out SaveResult) bool {
	if out.Failed == Done {
		return true
	}
	count, _ := strconv.Atoi(out.Got)
	return count >= p.count
}

// puts groups writes by shard.
func (b *build) puts(writes []projections.Write) []put {
	var byShard [events.Shards][]projections.Write
	for _, w := range writes {
		shard := events.Shard(w.After.ConferenceSid)
		byShard[shard] = append(byShard[shard], w)
	}
	var out []put
	for shard, writes := range byShard {
		for some := range slices.Chunk(writes, maxChangeRecords) {
			out = append(out, b.put(shard, some))
		}
	}
	return out
}

// put stores records of one shard and counts them.
func (b *build) put(shard int, writes []projections.Write) put {
	s := newSpace(b.epoch, shard)
	var c Change
	meta := s.meta()
	c.when(meta, countField, count(b.counts[shard]))
	for i := range writes {
		w := &writes[i]
		c.do(SetFields, s.record(w.After.Key()), fields(w.Before, w.After, w.Book, w.Rules)...)
		c.updateIndexes(s, w.Before, w.After)
		c.updateDue(s, w.After, w.DueBefore, w.Book.Due)
	}
	b.counts[shard] += len(writes)
	c.do(SetFields, meta, countField, count(b.counts[shard]))
	return put{shard, b.counts[shard], c}
}

// count is the stored form of a count; 0 is stored as no field.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// Expire implements [projections.Build]. Nothing else removes or reads keys of the build meanwhile.
func (b *build) Expire(ctx context.Context, cutoff time.Time) (removed int, err error) {
	l := &lane{number: b.lane.number, shards: b.lane.shards}
	l.claim = l.newClaim(b.epoch, events.Position{})
	x := &expiry{
		store: b.store, cutoff: projections.At(cutoff),
		claim: func() (*lane, error) { l.mu.Lock(); return l, nil },
		same:  func(c *Change, s space) { c.when(s.meta(), countField, count(b.counts[s.shard])) },
	}
	return x.run(ctx)
}

// Commit implements [projections.Build]: it seals the shards, switches the
// pointer, and then makes the old key space unreadable.
func (b *build) Commit(ctx context.Context, applied events.Position, state []byte) error {
	b.lane.mu.Lock()
	defer b.lane.mu.Unlock()
	if err := b.seal(ctx, applied); err != nil {
		return err
	}
	old, err := b.publish(ctx, applied, state)
	if err != nil {
		return err
	}
	b.lane.claim = b.lane.newClaim(b.epoch, applied)
	for _, shard := range b.lane.shards {
		b.lane.claim.written[shard] = applied
	}
	if old == "" {
		return nil
	}
	if err := b.store.removeMetas(ctx, old, b.lane.shards); err != nil {
		return fmt.Errorf("remove the old picture: %w", err)
	}
	b.store.sweep(b.lane.number, old)
	return nil
}

// seal writes the meta of every shard, of empty ones too.
func (b *build) seal(ctx context.Context, applied events.Position) error {
	var changes []Change
	for _, shard := range b.lane.shards {
		var c Change
		meta := newSpace(b.epoch, shard).meta()
		c.when(meta, countField, count(b.counts[shard]))
		c.do(SetFields, meta, appliedField, applied.String())
		changes = append(changes, c)
	}
	outcomes, err := b.store.engine.Apply(ctx, changes)
	if err != nil {
		return fmt.Errorf("seal the new picture: %w", err)
	}
	for i, out := range outcomes {
		if out.Failed != Done {
			return b.lane.lost("the build of shard %d is gone", b.lane.shards[i])
		}
	}
	return nil
}

// publish switches the pointer and returns the epoch it had before.
func (b *build) publish(ctx context.Context, applied events.Position, state []byte) (old string, err error) {
	var gone error
	p, err := b.switchPointer(ctx, func(p pointer, c *Change) bool {
		switch {
		case p.epoch == b.epoch: // a retry; the first attempt succeeded
			return false
		case p.build != b.epoch:
			gone = b.lane.lost("a newer build ended this one, or Redis was emptied")
			return false
		}
		b.switchTo(p, c, applied)
		if state != nil {
			c.setState(b.lane.number, b.epoch, applied, state)
		}
		return true
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("switch to the new picture: %w", err)
	case gone != nil:
		return "", gone
	case p.epoch == b.epoch:
		return "", nil
	}
	return p.epoch, nil
}

// switchTo makes the pointer name the build's epoch.
func (b *build) switchTo(p pointer, c *Change, applied events.Position) {
	c.do(SetFields, b.pointer, epochField, b.epoch, appliedField, applied.String())
	if p.epoch != "" {
		c.do(SetFields, b.pointer, dropField+p.epoch, "1")
	}
	c.do(RemoveFields, b.pointer, buildField, stateField)
	for shard := range p.shards {
		c.do(RemoveFields, b.pointer, shardField+strconv.Itoa(shard))
	}
}

// Abandon implements [projections.Build]. It does not remove a build that was
// committed or that a newer build ended.
func (b *build) Abandon(ctx context.Context) error {
	p, err := b.switchPointer(ctx, func(p pointer, c *Change) bool {
		c.do(RemoveFields, b.pointer, buildField)
		c.do(SetFields, b.pointer, dropField+b.epoch, "1")
		return p.build == b.epoch
	})
	if err != nil {
		return fmt.Errorf("abandon build: %w", err)
	}
	if p.build == b.epoch {
		b.store.sweep(b.lane.number, b.epoch)
	}
	return nil
}
