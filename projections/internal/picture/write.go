package picture

import (
	"context"
	"fmt"
	"strconv"

	"gavel/events"
	"gavel/projections"
)

// maxChangeRecords bounds the records of one change, so that the script that
// carries it out keeps other clients of Redis waiting for less than 1 ms.
const maxChangeRecords = 128

// Load implements [projections.Writer].
func (s *Store) Load(ctx context.Context, lane int, keys []events.Key) ([]projections.Stored, error) {
	l, err := s.lane(lane)
	if err != nil {
		return nil, fmt.Errorf("load records: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claim.epoch == "" {
		return nil, l.lost("it was not checked")
	}
	names, shards := l.toLoad(keys)
	hashes, err := s.engine.Hashes(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("load records: %w", err)
	}
	for i, shard := range shards {
		if err := l.see(&l.claim, shard, hashes[len(keys)+i]); err != nil {
			return nil, err
		}
	}
	out := make([]projections.Stored, len(keys))
	for i := range keys {
		if out[i], err = decode(hashes[i]); err != nil {
			return nil, fmt.Errorf("load records: %w", err)
		}
	}
	return out, nil
}

// toLoad names the records, and behind them the metas of their shards: a
// record may be called absent only where the meta is there afterwards.
func (l *lane) toLoad(keys []events.Key) (names []string, shards []int) {
	var wanted [events.Shards]bool
	for _, key := range keys {
		shard := events.Shard(key.ConferenceSid)
		wanted[shard] = true
		names = append(names, l.claim.spaces[shard].record(key))
	}
	for _, shard := range l.shards {
		if wanted[shard] {
			shards = append(shards, shard)
			names = append(names, l.claim.spaces[shard].meta())
		}
	}
	return names, shards
}

// Save implements [projections.Writer]. A conference may be in a batch once.
func (s *Store) Save(ctx context.Context, lane int, writes []projections.Write) error {
	l, err := s.lane(lane)
	if err != nil {
		return fmt.Errorf("save records: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claim.epoch == "" {
		return l.lost("it was not checked")
	}
	batches := l.batches(writes)
	changes := make([]Change, len(batches))
	for i, b := range batches {
		if changes[i], err = b.change(); err != nil {
			return fmt.Errorf("save records: %w", err)
		}
	}
	outcomes, err := s.engine.Apply(ctx, changes)
	if err != nil {
		return fmt.Errorf("save records: %w", err)
	}
	return l.saved(batches, outcomes)
}

// batch is the part of a Save that one change carries out.
type batch struct {
	space    space
	from, to events.Position // of the shard, before and after
	writes   []projections.Write
}

// batches groups writes by shard.
func (l *lane) batches(writes []projections.Write) []*batch {
	var open [events.Shards]*batch
	var out []*batch
	for _, w := range writes {
		shard := events.Shard(w.After.ConferenceSid)
		b := open[shard]
		if b == nil || len(b.writes) == maxChangeRecords {
			from := l.claim.written[shard]
			if b != nil {
				from = b.to
			}
			b = &batch{space: l.claim.spaces[shard], from: from, to: from}
			open[shard], out = b, append(out, b)
		}
		b.writes = append(b.writes, w)
		b.to = later(b.to, w.Book.Applied)
	}
	return out
}

// The first conditions of every batch; those of its records follow.
const (
	epochCondition = iota
	positionCondition
)

func (b *batch) change() (Change, error) {
	meta := b.space.meta()
	c := Change{
		If: make([]Condition, 0, 2+len(b.writes)),
		Do: make([]Command, 0, 1+len(b.writes)),
	}
	c.If = append(c.If,
		Condition{meta, epochField, b.space.epoch},
		Condition{meta, appliedField, b.from.String()})
	for _, w := range b.writes {
		key := b.space.record(keyOf(w.After))
		c.If = append(c.If, Condition{key, versionField, version(w.Expect)})
		set, err := fields(w.Before, w.After, w.Book)
		if err != nil {
			return Change{}, err
		}
		c.Do = append(c.Do, Command{SetFields, key, set})
		c.Do = append(c.Do, reindex(b.space, w.Before, w.After)...)
	}
	c.Do = append(c.Do, Command{SetFields, meta, []string{appliedField, b.to.String()}})
	return c, nil
}

// version is the stored form of a version; 0 is no record, hence no field.
func version(v uint64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatUint(v, 10)
}

// saved takes in what became of the batches and returns the worst of it.
func (l *lane) saved(batches []*batch, outcomes []Outcome) error {
	var conflict error
	for i, b := range batches {
		switch out := outcomes[i]; out.Failed {
		case Done:
			l.claim.written[b.space.shard] = b.to
		case epochCondition:
			return l.lost("shard %d is gone", b.space.shard)
		case positionCondition:
			at, err := events.ParsePosition(out.Got)
			if err != nil || b.from.After(at) {
				return l.lost("shard %d went back from %v to %q", b.space.shard, b.from, out.Got)
			}
			conflict = fmt.Errorf("%w: shard %d stands at %v, not %v", projections.ErrConflict, b.space.shard, at, b.from)
		default:
			w := b.writes[out.Failed-positionCondition-1]
			conflict = fmt.Errorf("%w: %s has version %q, not %d",
				projections.ErrConflict, w.After.ConferenceSid, out.Got, w.Expect)
		}
	}
	return conflict
}

// Index implements [projections.Writer]. Save has changed the indexes with
// their records already; what is left is the lane's own position.
func (s *Store) Index(ctx context.Context, lane int, applied events.Position, _ []projections.Write) error {
	l, err := s.lane(lane)
	if err != nil {
		return fmt.Errorf("note position: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claim.epoch == "" {
		return l.lost("it was not checked")
	}
	for {
		out, err := s.apply(ctx, l.noting(applied))
		if err != nil {
			return fmt.Errorf("note position: %w", err)
		}
		if again, err := l.noted(applied, out); !again {
			return err
		}
	}
}

// noting is the change that raises the lane's position to applied and repeats
// the positions of the shards.
func (l *lane) noting(applied events.Position) Change {
	key, c := laneKey(l.number), &l.claim
	set := []string{appliedField, later(applied, c.applied).String()}
	for _, shard := range l.shards {
		if c.written[shard] != c.marked[shard] {
			set = append(set, shardField+strconv.Itoa(shard), c.written[shard].String())
		}
	}
	return Change{
		If: []Condition{{key, epochField, c.epoch}, {key, appliedField, c.applied.String()}},
		Do: []Command{{SetFields, key, set}},
	}
}

// noted takes in what became of it; again is whether another had raised the
// position meanwhile.
func (l *lane) noted(applied events.Position, out Outcome) (again bool, err error) {
	c := &l.claim
	switch out.Failed {
	case Done:
		c.applied, c.marked = later(applied, c.applied), c.written
		return false, nil
	case epochCondition:
		return false, l.lost("its pointer is gone")
	}
	at, err := events.ParsePosition(out.Got)
	if err != nil || c.applied.After(at) {
		return false, l.lost("it went back from %v to %q", c.applied, out.Got)
	}
	c.applied = at
	return true, nil
}
