package picture

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"gavel/events"
	"gavel/projections"
)

// The fields of a lane's pointer.
const (
	epochField   = "epoch"   // of the key space that is read; absent if none is
	appliedField = "applied" // everything up to this position was processed
	buildField   = "build"   // epoch of the key space that is being built
	shardField   = "shard:"  // followed by the shard: a copy of its position
	dropField    = "drop:"   // followed by an epoch: its keys are to be swept
	stateField   = "state"   // the position of the lane's own state (state.go)
	chainField   = "chain"   // what package chain remembers of the lane's journal
)

// The fields of a shard's meta: appliedField, the newest position written, exists once the key
// space is complete; until then countField counts the records put.
const countField = "count"

// pointer is the content of gavel:lane:<n>.
type pointer struct {
	epoch, build string
	applied      events.Position
	shards       map[int]events.Position
	drops        []string
	state, chain string
}

func parsePointer(hash map[string]string) pointer {
	p := pointer{epoch: hash[epochField], build: hash[buildField], state: hash[stateField], chain: hash[chainField], shards: map[int]events.Position{}}
	p.applied, _ = events.ParsePosition(hash[appliedField])
	for field, value := range hash {
		if epoch, ok := strings.CutPrefix(field, dropField); ok {
			p.drops = append(p.drops, epoch)
		}
		if shard, ok := strings.CutPrefix(field, shardField); ok {
			n, _ := strconv.Atoi(shard)
			p.shards[n], _ = events.ParsePosition(value)
		}
	}
	return p
}

// lane is one lane of the picture, with this process as its writer.
type lane struct {
	number int
	shards []int

	// mu is held through every step of the writer, so that what the step
	// compares does not change meanwhile.
	mu    sync.Mutex
	claim claim
}

// claim is the writer's last known state of its lane. The zero claim claims nothing.
type claim struct {
	epoch   string
	spaces  [events.Shards]space
	applied events.Position
	// written is the newest position in each shard's meta, marked the copy of it in the pointer.
	written, marked [events.Shards]events.Position
}

func (l *lane) newClaim(epoch string, applied events.Position) claim {
	c := claim{epoch: epoch, applied: applied}
	for _, shard := range l.shards {
		c.spaces[shard] = newSpace(epoch, shard)
	}
	return c
}

// lost returns the reason why the picture cannot be written.
func (l *lane) lost(format string, args ...any) error {
	return fmt.Errorf("%w: lane %d: %s", projections.ErrLost, l.number, fmt.Sprintf(format, args...))
}

// checkMetas compares the metas of shards with the positions in c, and updates c
// where a meta is newer.
func (l *lane) checkMetas(c *claim, shards []int, metas []map[string]string) error {
	for i, shard := range shards {
		at, err := l.notBefore(c.written[shard], metas[i][appliedField], shard)
		if err != nil {
			return err
		}
		c.written[shard] = at
	}
	return nil
}

// notBefore parses a shard's position and returns an error if it is before last.
func (l *lane) notBefore(last events.Position, found string, shard int) (events.Position, error) {
	if found == "" {
		return last, l.lost("shard %d is gone", shard)
	}
	at, err := events.ParsePosition(found)
	if err != nil || last.After(at) {
		return last, l.lost("shard %d went back from %v to %q", shard, last, found)
	}
	return at, nil
}

// Check implements [projections.Writer]. It withdraws a lost picture, so that
// readers do not use the data of an old snapshot.
func (s *Store) Check(ctx context.Context, lane int, floor uint64) error {
	l, err := s.lane(lane)
	if err != nil {
		return fmt.Errorf("check picture: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := s.pointer(ctx, lane)
	if err != nil {
		return fmt.Errorf("check picture: %w", err)
	}
	for _, epoch := range p.drops {
		s.sweep(lane, epoch)
	}
	if p.epoch == "" {
		return l.lost("it was never filled, or Redis was emptied")
	}
	metas, err := s.engine.Hashes(ctx, metaKeys(spacesOf(p.epoch, l.shards)))
	if err != nil {
		return fmt.Errorf("check picture: %w", err)
	}
	c, err := l.check(p, metas, floor)
	if err != nil {
		return s.withdraw(ctx, l, p.epoch, err)
	}
	l.claim = c
	return nil
}

// Applied implements [projections.Writer].
func (s *Store) Applied(ctx context.Context, lane int) (applied events.Position, chain string, err error) {
	if _, err := s.lane(lane); err != nil {
		return applied, "", fmt.Errorf("read the position: %w", err)
	}
	p, err := s.pointer(ctx, lane)
	return p.applied, p.chain, err
}

func (s *Store) pointer(ctx context.Context, lane int) (pointer, error) {
	hashes, err := s.engine.Hashes(ctx, []string{laneKey(lane)})
	if err != nil {
		return pointer{}, fmt.Errorf("read the pointer of lane %d: %w", lane, err)
	}
	return parsePointer(hashes[0]), nil
}

func metaKeys(spaces []space) []string {
	keys := make([]string, len(spaces))
	for i, sp := range spaces {
		keys[i] = sp.meta()
	}
	return keys
}

// check compares the pointer and the metas with the journal's floor, with each
// other, and with this process's claim. It returns them as a claim.
func (l *lane) check(p pointer, metas []map[string]string, floor uint64) (claim, error) {
	if !strings.HasPrefix(p.epoch, layout) {
		return claim{}, l.lost("it has another layout")
	}
	if p.applied.Sequence < floor {
		return claim{}, l.lost("it is at %v, but the journal was acknowledged up to %d", p.applied, floor)
	}
	same := p.epoch == l.claim.epoch
	if same && l.claim.applied.After(p.applied) {
		return claim{}, l.lost("it went back from %v to %v", l.claim.applied, p.applied)
	}
	c := l.newClaim(p.epoch, p.applied)
	for _, shard := range l.shards {
		c.marked[shard] = p.shards[shard]
		c.written[shard] = p.shards[shard]
		if same {
			c.written[shard] = later(c.written[shard], l.claim.written[shard])
		}
	}
	if err := l.checkMetas(&c, l.shards, metas); err != nil {
		return claim{}, err
	}
	return c, nil
}

func later(a, b events.Position) events.Position {
	if a.After(b) {
		return a
	}
	return b
}

// withdraw hides a lost picture from readers and starts the sweep of its keys. It returns why.
func (s *Store) withdraw(ctx context.Context, l *lane, epoch string, why error) error {
	remove := []string{epochField, appliedField, stateField}
	for _, shard := range l.shards {
		remove = append(remove, shardField+strconv.Itoa(shard))
	}
	var c Change
	key := laneKey(l.number)
	c.when(key, epochField, epoch)
	c.do(SetFields, key, dropField+epoch, "1")
	c.do(RemoveFields, key, remove...)
	_, err := s.apply(ctx, c)
	if err == nil {
		err = s.removeMetas(ctx, epoch, l.shards)
	}
	if err != nil {
		return fmt.Errorf("%w; withdraw it: %w", why, err)
	}
	s.sweep(l.number, epoch)
	return why
}

// removeMetas makes a key space unreadable and unwritable at once, before its
// other keys are removed.
func (s *Store) removeMetas(ctx context.Context, epoch string, shards []int) error {
	var changes []Change
	for _, meta := range metaKeys(spacesOf(epoch, shards)) {
		var c Change
		c.do(RemoveKey, meta)
		changes = append(changes, c)
	}
	_, err := s.engine.Apply(ctx, changes)
	return err
}
