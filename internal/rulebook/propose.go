package rulebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/rules"
)

// How is the occasion of a proposal.
type How string

// The two occasions. A process that starts must not undo what other processes did
// while it was down. An operator who changes a file, or sends SIGHUP, does so
// deliberately.
const (
	Start  How = "start"
	Change How = "change"
)

// Proposal is the result of a proposal.
type Proposal struct {
	// Taken means that this proposal put its set in force.
	Taken bool
	// InForce is the set in force now. It may be the proposed set without Taken, if
	// that was in force already.
	InForce InForce
}

// Follows reports whether the set in force is not the process's own version.
func (p Proposal) Follows(version string) bool { return p.InForce.Version != version }

// Propose puts a set in force, or returns the other set that stays in force.
// origin identifies the files: host name and path.
//
// The set comes into force if no other set is. If it is in force already, nothing
// changes. A Start replaces another set only if that came from the same origin; a
// Change replaces any, also one whose record is damaged: then a Start fails with
// events.ErrKeyDamaged. If the set is in force and its files are lost, they are stored again. If two
// processes propose at once, the slower one reads the set in force again and decides again. A set with
// Warnings never comes into force; it may only be the one that is.
func (b *Book) Propose(ctx context.Context, set *rules.Set, origin string, how How) (Proposal, error) {
	b.mu.Lock()
	b.own, b.refused = set.Version, nil
	b.mu.Unlock()
	active, err := b.read(ctx)
	if errors.Is(err, events.ErrKeyDamaged) && how == Change {
		active, err = b.replaceDamaged(ctx, set, origin)
	}
	if err != nil {
		return Proposal{}, fmt.Errorf("propose rules: %w", err)
	}
	p := Proposal{InForce: *active}
	switch {
	case !stays(active, set.Version, origin, how):
		p, err = b.putInForce(ctx, set, origin, how)
	case active.Version == set.Version:
		err = b.restore(ctx, set)
	}
	if err != nil {
		return Proposal{}, fmt.Errorf("propose rules: %w", err)
	}
	if p.Follows(set.Version) {
		b.log.Warn("this process has other rules than those in force: it follows those in force; send it SIGHUP to put its own in force",
			"own_version", set.Version, "own_from", origin, "version", p.InForce.Version, "from", p.InForce.Origin)
	}
	return p, nil
}

// restore stores the set in force again if it is lost.
func (b *Book) restore(ctx context.Context, set *rules.Set) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, _, err := b.bucket.Read(ctx, setPrefix+set.Version)
	if errors.Is(err, events.ErrKeyNotFound) || errors.Is(err, events.ErrKeyDamaged) {
		b.log.Warn("rules in force were lost and are stored again from the files of this process", "version", set.Version)
		return b.store(ctx, set)
	}
	return err
}

// stays reports whether the set in force stays. Without a set in force it returns
// false.
func stays(active *InForce, version, origin string, how How) bool {
	if active.Load == "" {
		return false
	}
	return active.Version == version || how == Start && active.Origin != origin
}

// putInForce puts the set in force, unless another set came into force meanwhile
// and stays. It stores the set first, so that every process can read the set that
// is in force.
func (b *Book) putInForce(ctx context.Context, set *rules.Set, origin string, how How) (p Proposal, err error) {
	storing, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := b.store(storing, set); err != nil {
		return p, err
	}
	mine := newInForce(set, origin, how)
	err = b.inForce.Change(ctx, func(active *InForce) (changed bool) {
		// The first try may have been saved although its answer was lost.
		if active.Load != mine.Load && !stays(active, set.Version, origin, how) {
			*active, changed = mine, true
		}
		p = Proposal{Taken: active.Load == mine.Load, InForce: *active}
		return changed
	})
	if err != nil {
		return p, fmt.Errorf("put in force: %w", err)
	}
	return p, nil
}

// newInForce is the record of a set that comes into force now. The lanes' entries hold whole
// milliseconds.
func newInForce(set *rules.Set, origin string, how How) InForce {
	since := time.Now().UTC().Truncate(time.Millisecond)
	return InForce{Load: events.NewULID(), Version: set.Version, Since: since, Origin: origin, By: how}
}

// replaceDamaged puts a set in force where the record of the one in force is damaged.
func (b *Book) replaceDamaged(ctx context.Context, set *rules.Set, origin string) (*InForce, error) {
	storing, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := b.store(storing, set); err != nil {
		return nil, err
	}
	value, err := json.Marshal(newInForce(set, origin, Change))
	if err != nil {
		return nil, err
	}
	_, revision, err := b.bucket.Read(storing, activeKey)
	if !errors.Is(err, events.ErrKeyDamaged) {
		return nil, errors.Join(errors.New("the rules in force were repaired at the same time"), err)
	}
	if _, err := b.bucket.Update(storing, activeKey, value, revision); err != nil {
		return nil, fmt.Errorf("replace the damaged record of the rules in force: %w", err)
	}
	b.mu.Lock()
	b.revision = 0 // a stream that lost its end counts revisions again from there
	b.mu.Unlock()
	return b.read(ctx)
}
