package jet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"gavel/events"
)

// maxDeleted bounds the deleted keys that a Guarded bucket lists: 40 bytes each in one value. Of
// more, the oldest are dropped.
const maxDeleted = 10_000

// Damaged is the revision of a value that is missing or damaged. An Update with it replaces
// whatever is stored.
const Damaged = math.MaxUint64

// Guards are the keys of a bucket whose loss must not go unseen.
type Guards struct {
	// Keys leave their revision in the second bucket with each Update.
	Keys []string
	// Sealed keys leave theirs only by Seal, because they change too often for a second write.
	Sealed []string
	// Seeds are the first values of keys that must always exist.
	Seeds map[string][]byte
	// Lasting begins the names of keys that are never deleted, whose values prove themselves: only
	// their absence is damage. An Update with revision 0 repairs it. Empty: no keys.
	Lasting string
	// Deleted also records which keys were deleted, and which exist: one of those that is gone is
	// damage.
	Deleted bool
	// Report is called with the state of a key after each read of it: nil, or its damage.
	Report func(key string, damage error)
}

// Guarded is a bucket that notices when a value is lost or an earlier one has come back.
//
// A damaged record is no error to nats-server: after a clean stop its key does not exist, and after
// a crash the stream ends before it, so that the value before it is the key's again. Therefore
// a second bucket, which is in other files, holds the revision that a key must at least have. A
// read fails with events.ErrKeyDamaged if the revision is lower or the second bucket has none.
// Both would have to be damaged to hide a loss.
type Guarded struct {
	*Bucket
	second *Bucket
	guards Guards
}

// Guard returns the bucket with guards whose marks are in second.
func Guard(b, second *Bucket, g Guards) *Guarded { return &Guarded{b, second, g} }

// Adopt marks what the bucket contains, and stores the missing seeds. It is called once for a
// store, because it accepts whatever is there.
func (g *Guarded) Adopt(ctx context.Context) error {
	for _, key := range slices.Concat(g.guards.Keys, g.guards.Sealed) {
		_, revision, err := g.Bucket.Read(ctx, key)
		if seed := g.guards.Seeds[key]; seed != nil && errors.Is(err, events.ErrKeyNotFound) {
			if revision, err = g.Bucket.Update(ctx, key, seed, 0); errors.Is(err, events.ErrKeyChanged) {
				_, revision, err = g.Bucket.Read(ctx, key) // another process was faster
			}
		}
		if err != nil && !errors.Is(err, events.ErrKeyNotFound) {
			return fmt.Errorf("adopt %s: %w", key, err)
		}
		if err := g.mark(ctx, key, revision, false); err != nil {
			return fmt.Errorf("adopt %s: %w", key, err)
		}
	}
	if g.guards.Deleted {
		if _, err := g.second.Update(ctx, g.deletedKey(), []byte("{}"), 0); err != nil && !errors.Is(err, events.ErrKeyChanged) {
			return fmt.Errorf("adopt the deleted keys: %w", err)
		}
	}
	return nil
}

// Read is like Bucket.Read. The error for a damaged guarded key wraps events.ErrKeyDamaged, and the
// revision is Damaged.
func (g *Guarded) Read(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	switch {
	case g.lasting(key):
		return g.readLasting(ctx, key)
	case !slices.Contains(g.guards.Keys, key) && !slices.Contains(g.guards.Sealed, key):
		return g.Bucket.Read(ctx, key)
	}
	// The mark is read first: a value that is written meanwhile is newer than it.
	least, damage := g.least(ctx, key)
	if damage != nil && !errors.Is(damage, events.ErrKeyDamaged) {
		return nil, 0, damage
	}
	value, revision, err = g.Bucket.Read(ctx, key)
	if err != nil && !errors.Is(err, events.ErrKeyNotFound) {
		return nil, 0, err
	}
	if damage == nil && revision < least {
		damage = fmt.Errorf("%w: revision %d was stored and %d is there", events.ErrKeyDamaged, least, revision)
	}
	if damage != nil {
		damage = fmt.Errorf("read %s in %s: %w", key, g.kv.Bucket(), damage)
		value, revision, err = nil, Damaged, damage
	}
	g.guards.Report(key, damage)
	return value, revision, err
}

func (g *Guarded) lasting(key string) bool {
	return g.guards.Lasting != "" && strings.HasPrefix(key, g.guards.Lasting)
}

func (g *Guarded) readLasting(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	value, revision, err = g.Bucket.Read(ctx, key)
	var damage error
	if errors.Is(err, events.ErrKeyNotFound) {
		damage = fmt.Errorf("read %s in %s: %w: it is missing", key, g.kv.Bucket(), events.ErrKeyDamaged)
		err = damage
	}
	if err == nil || damage != nil {
		g.guards.Report(key, damage)
	}
	return value, revision, err
}

// Update is like Bucket.Update, and marks the new revision of a guarded key. With the revision
// Damaged it replaces a damaged value.
func (g *Guarded) Update(ctx context.Context, key string, value []byte, revision uint64) (stored uint64, err error) {
	repair := revision == Damaged
	if repair {
		if stored, err = g.kv.Put(ctx, key, value); err != nil {
			return 0, fmt.Errorf("replace a damaged key: %w", err)
		}
	} else if stored, err = g.Bucket.Update(ctx, key, value, revision); err != nil {
		if g.lasting(key) && errors.Is(err, events.ErrKeyChanged) {
			g.guards.Report(key, nil) // it is there
		}
		return 0, err
	}
	if repair || slices.Contains(g.guards.Keys, key) {
		err = g.mark(ctx, key, stored, repair)
	}
	if (repair || g.lasting(key)) && err == nil {
		g.guards.Report(key, nil)
	}
	return stored, err
}

// Seal marks a revision of a key: from then on an earlier one is damage.
func (g *Guarded) Seal(ctx context.Context, key string, revision uint64) error {
	return g.mark(ctx, key, revision, false)
}

func (g *Guarded) markKey(key string) string { return "mark." + g.kv.Bucket() + "." + key }
func (g *Guarded) deletedKey() string        { return "deleted." + g.kv.Bucket() }

// least returns the lowest revision that a key may have, 0 for a key that was never stored.
func (g *Guarded) least(ctx context.Context, key string) (uint64, error) {
	text, _, err := g.second.Read(ctx, g.markKey(key))
	if errors.Is(err, events.ErrKeyNotFound) {
		return 0, fmt.Errorf("%w: its mark in %s is missing", events.ErrKeyDamaged, g.second.kv.Bucket())
	}
	if err != nil {
		return 0, fmt.Errorf("read the mark of a key: %w", err)
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: its mark in %s is %q", events.ErrKeyDamaged, g.second.kv.Bucket(), text)
	}
	return n, nil
}

// mark raises the mark of a key. A repair may lower it, because a stream that lost its end counts
// again from there.
func (g *Guarded) mark(ctx context.Context, key string, revision uint64, repair bool) error {
	text := []byte(strconv.FormatUint(revision, 10))
	for {
		if repair {
			return g.second.Put(ctx, g.markKey(key), text)
		}
		now, at, err := g.second.Read(ctx, g.markKey(key))
		if err != nil && !errors.Is(err, events.ErrKeyNotFound) {
			return fmt.Errorf("mark a key: %w", err)
		}
		if least, err := strconv.ParseUint(string(now), 10, 64); err == nil && least >= revision {
			return nil
		}
		if _, err = g.second.Update(ctx, g.markKey(key), text, at); !errors.Is(err, events.ErrKeyChanged) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// deleted are the keys that were deleted, the oldest first.
type deleted struct {
	Count int      `json:"count"`
	Keys  []string `json:"keys"`
	// Live are the keys that exist. A key is stored before it is added and removed after it is deleted
	// here, so the bucket has all of them. A former Gavel drops the list; Keep makes it again.
	Live []string `json:"live,omitempty"`
}

func (g *Guarded) readDeleted(ctx context.Context) (d deleted, revision uint64, err error) {
	if !g.guards.Deleted {
		return d, 0, nil
	}
	value, revision, err := g.second.Read(ctx, g.deletedKey())
	var damage error
	switch {
	case errors.Is(err, events.ErrKeyNotFound):
		damage = fmt.Errorf("%w: the list of its deleted keys in %s is missing", events.ErrKeyDamaged, g.second.kv.Bucket())
	case err != nil:
		return d, 0, fmt.Errorf("read the deleted keys: %w", err)
	case json.Unmarshal(value, &d) != nil || len(d.Keys) != min(d.Count, maxDeleted):
		damage = fmt.Errorf("%w: the list of its deleted keys in %s cannot be read", events.ErrKeyDamaged, g.second.kv.Bucket())
	}
	if damage != nil {
		damage = fmt.Errorf("read %s: %w", g.kv.Bucket(), damage)
	}
	g.guards.Report(g.deletedKey(), damage)
	return d, revision, damage
}

// changeDeleted changes the list of deleted keys until change returns false or the change is stored.
func (g *Guarded) changeDeleted(ctx context.Context, change func(d *deleted) bool) error {
	for {
		d, revision, err := g.readDeleted(ctx)
		if err != nil {
			return err
		}
		if !change(&d) {
			return nil
		}
		value, err := json.Marshal(d)
		if err == nil {
			_, err = g.second.Update(ctx, g.deletedKey(), value, revision)
		}
		if !errors.Is(err, events.ErrKeyChanged) {
			return err
		}
	}
}

// Put is like Bucket.Put, and records that the key exists if the guards require it.
func (g *Guarded) Put(ctx context.Context, key string, value []byte) error {
	if g.guards.Deleted {
		if _, _, err := g.readDeleted(ctx); err != nil {
			return fmt.Errorf("put key: %w", err)
		}
	}
	if err := g.Bucket.Put(ctx, key, value); err != nil || !g.guards.Deleted {
		return err
	}
	return g.live(ctx, key)
}

// live records that keys exist. Beyond maxDeleted of them, further ones are not guarded.
func (g *Guarded) live(ctx context.Context, keys ...string) error {
	err := g.changeDeleted(ctx, func(d *deleted) (changed bool) {
		for _, key := range keys {
			if len(d.Live) < maxDeleted && !slices.Contains(d.Live, key) && !slices.Contains(d.Keys, key) {
				d.Live, changed = append(d.Live, key), true
			}
		}
		return changed
	})
	if err != nil {
		return fmt.Errorf("record that keys exist: %w", err)
	}
	return nil
}

// Keep records that the keys of a former Gavel exist. A damaged list is left to the reader of the keys.
func (g *Guarded) Keep(ctx context.Context) error {
	all, err := g.Bucket.List(ctx)
	if err != nil {
		return err
	}
	if err := g.live(ctx, slices.Sorted(maps.Keys(all))...); !errors.Is(err, events.ErrKeyDamaged) {
		return err
	}
	return nil
}

// Lost returns the keys that exist by the record and not in the bucket, and reports their damage.
func (g *Guarded) Lost(ctx context.Context) (lost []string, err error) {
	d, _, err := g.readDeleted(ctx)
	if err != nil {
		return nil, err
	}
	all, err := g.Bucket.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range d.Live {
		if _, there := all[key]; there {
			g.guards.Report(key, nil)
			continue
		}
		is, err := g.isLost(ctx, key)
		if err != nil {
			return nil, err
		}
		if is {
			lost = append(lost, key)
			g.guards.Report(key, fmt.Errorf("read %s in %s: %w: it is missing", key, g.kv.Bucket(), events.ErrKeyDamaged))
		}
	}
	return lost, nil
}

// isLost reads the bucket first and then the record, because a key may be created or deleted meanwhile.
func (g *Guarded) isLost(ctx context.Context, key string) (bool, error) {
	_, _, err := g.Bucket.Read(ctx, key)
	if !errors.Is(err, events.ErrKeyNotFound) {
		return false, err
	}
	d, _, err := g.readDeleted(ctx)
	return slices.Contains(d.Live, key), err
}

// Delete removes a key, and records that first if the guards require it.
func (g *Guarded) Delete(ctx context.Context, key string) error {
	if !g.guards.Deleted {
		return g.Bucket.Delete(ctx, key)
	}
	err := g.changeDeleted(ctx, func(d *deleted) bool {
		if slices.Contains(d.Keys, key) {
			return false
		}
		d.Count, d.Keys = d.Count+1, append(d.Keys, key)
		d.Keys = d.Keys[max(0, len(d.Keys)-maxDeleted):]
		d.Live = slices.DeleteFunc(d.Live, func(live string) bool { return live == key })
		return true
	})
	if err != nil {
		return fmt.Errorf("delete key: %w", err)
	}
	g.guards.Report(key, nil)
	return g.Bucket.Delete(ctx, key)
}

// List returns all keys and values except deleted ones that damage brought back.
func (g *Guarded) List(ctx context.Context) (map[string][]byte, error) {
	d, _, err := g.readDeleted(ctx)
	if err != nil {
		return nil, err
	}
	all, err := g.Bucket.List(ctx)
	for _, key := range d.Keys {
		delete(all, key)
	}
	return all, err
}

// Watch is like Bucket.Watch, except that a deleted key which damage brought back counts as deleted.
func (g *Guarded) Watch(ctx context.Context, fn func(key string, value []byte)) error {
	d, _, err := g.readDeleted(ctx)
	if err != nil {
		return err
	}
	return g.Bucket.Watch(ctx, func(key string, value []byte) {
		if value != nil && slices.Contains(d.Keys, key) {
			value = nil
		}
		fn(key, value)
	})
}

// Forget empties the list of deleted keys: the bucket was just made and has none to bring back.
func (g *Guarded) Forget(ctx context.Context) error {
	return g.second.Put(ctx, g.deletedKey(), []byte("{}"))
}
