package picture

import (
	"context"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/projections"
)

// maxChangeRecords bounds the records of one change, so that its script blocks
// other clients of Redis for less than 1 ms.
const maxChangeRecords = 128

// lockLane locks a lane that this process has claimed. The caller unlocks it.
func (s *Store) lockLane(n int) (*lane, error) {
	l, err := s.lane(n)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	if l.claim.epoch == "" {
		l.mu.Unlock()
		return nil, l.lost("Check was not called")
	}
	return l, nil
}

// Load implements [projections.Writer].
func (s *Store) Load(ctx context.Context, lane int, keys []events.Key) ([]projections.Stored, error) {
	l, err := s.lockLane(lane)
	if err != nil {
		return nil, fmt.Errorf("load records: %w", err)
	}
	defer l.mu.Unlock()
	names, shards := l.keysToLoad(keys)
	hashes, err := s.engine.Hashes(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("load records: %w", err)
	}
	if err := l.checkMetas(&l.claim, shards, hashes[len(keys):]); err != nil {
		return nil, err
	}
	out, err := decodeAll(keys, hashes)
	if err != nil {
		return nil, fmt.Errorf("load records: %w", err)
	}
	return out, nil
}

// keysToLoad returns the keys of the records, and after them the metas of their shards: a record
// that was not found counts as absent only if its shard's meta still exists afterwards.
func (l *lane) keysToLoad(keys []events.Key) (names []string, shards []int) {
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

// Save implements [projections.Writer]. A conference may be in a batch only once.
func (s *Store) Save(ctx context.Context, lane int, writes []projections.Write) error {
	l, err := s.lockLane(lane)
	if err != nil {
		return fmt.Errorf("save records: %w", err)
	}
	defer l.mu.Unlock()
	batches := l.batches(writes)
	outcomes, err := s.applyInParts(ctx, batches, parts(len(writes)))
	if err != nil {
		return fmt.Errorf("save records: %w", err)
	}
	return l.noteResults(batches, outcomes)
}

// partRecords is how many records justify encoding one part of a Save while
// Redis executes the part before; saveParts is the most parts.
const (
	partRecords = 64
	saveParts   = 4
)

func parts(records int) int { return max(1, min(saveParts, records/partRecords)) }

// applyInParts executes the changes of the batches, encoding one part while
// those before it are in flight. All batches of a shard are in one part,
// because each compares what the one before it wrote.
func (s *Store) applyInParts(ctx context.Context, batches []*batch, parts int) ([]SaveResult, error) {
	outcomes := make([]SaveResult, len(batches))
	g, ctx := errgroup.WithContext(ctx)
	for part := range parts {
		var at []int
		var changes []Change
		for i, b := range batches {
			if b.space.shard/len(s.lanes)%parts == part {
				at, changes = append(at, i), append(changes, b.change())
			}
		}
		g.Go(func() error {
			done, err := s.engine.Apply(ctx, changes)
			for i := range done {
				outcomes[at[i]] = done[i]
			}
			return err
		})
	}
	return outcomes, g.Wait()
}

// batch is the part of a Save that one change executes.
type batch struct {
	space    space
	from, to events.Position // of the shard, before and after
	writes   []*projections.Write
}

// batches groups writes by shard.
func (l *lane) batches(writes []projections.Write) []*batch {
	var open [events.Shards]*batch
	var out []*batch
	for i := range writes {
		w := &writes[i]
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

// change compares the shard's position, then every version; its records are in the order of writes.
func (b *batch) change() Change {
	c := Change{Records: make([]RecordWrite, 0, len(b.writes))}
	meta := b.space.meta()
	c.when(meta, appliedField, b.from.String())
	for _, w := range b.writes {
		c.Records = append(c.Records, RecordWrite{
			Key:    b.space.record(w.After.Key()),
			Expect: encodeVersion(w.Expect),
			Fields: fields(w.Before, w.After, w.Book, w.Rules),
		})
		c.updateIndexes(b.space, w.Before, w.After)
		c.updateDue(b.space, w.After, w.DueBefore, w.Book.Due)
	}
	c.do(SetFields, meta, appliedField, b.to.String())
	return c
}

// noteResults updates the claim with the results of the batches. A lost shard outweighs a conflict.
func (l *lane) noteResults(batches []*batch, outcomes []SaveResult) error {
	var conflict error
	for i, b := range batches {
		switch out := outcomes[i]; out.Failed {
		case Done:
			l.claim.written[b.space.shard] = b.to
		case 0:
			at, err := l.notBefore(b.from, out.Got, b.space.shard)
			if err != nil {
				return err
			}
			conflict = fmt.Errorf("%w: shard %d is at %v, not %v",
				projections.ErrConflict, b.space.shard, at, b.from)
		default:
			w := b.writes[out.Failed-1]
			conflict = fmt.Errorf("%w: %s has version %d, not %d",
				projections.ErrConflict, w.After.ConferenceSid, decodeVersion(out.Got), w.Expect)
		}
	}
	return conflict
}

// NoteApplied implements [projections.Writer].
func (s *Store) NoteApplied(ctx context.Context, lane int, applied events.Position, state []byte, chain string) error {
	l, err := s.lockLane(lane)
	if err != nil {
		return fmt.Errorf("record the position: %w", err)
	}
	defer l.mu.Unlock()
	for {
		out, err := s.apply(ctx, l.positionChange(applied, state, chain))
		if err != nil {
			return fmt.Errorf("record the position: %w", err)
		}
		if again, err := l.notePosition(applied, out); !again {
			return err
		}
	}
}

// positionChange is the change that raises the lane's position to applied and copies the positions
// of the shards. It does not write a state or a chain that is older than the stored one.
func (l *lane) positionChange(applied events.Position, state []byte, chain string) Change {
	last := &l.claim
	set := []string{appliedField, later(applied, last.applied).String()}
	for _, shard := range l.shards {
		if last.written[shard] != last.marked[shard] {
			set = append(set, shardField+strconv.Itoa(shard), last.written[shard].String())
		}
	}
	if chain != "" && !last.applied.After(applied) {
		set = append(set, chainField, chain)
	}
	var c Change
	key := laneKey(l.number)
	c.when(key, epochField, last.epoch)
	c.when(key, appliedField, last.applied.String())
	c.do(SetFields, key, set...)
	if state != nil && !last.applied.After(applied) {
		c.setState(l.number, last.epoch, applied, state)
	}
	return c
}

// notePosition updates the claim with the result; again is whether another
// process raised the position meanwhile.
func (l *lane) notePosition(applied events.Position, out SaveResult) (again bool, err error) {
	c := &l.claim
	switch out.Failed {
	case Done:
		c.applied, c.marked = later(applied, c.applied), c.written
		return false, nil
	case 0:
		return false, l.lost("its pointer is gone")
	}
	at, err := events.ParsePosition(out.Got)
	if err != nil || c.applied.After(at) {
		return false, l.lost("it went back from %v to %q", c.applied, out.Got)
	}
	c.applied = at
	return true, nil
}
