package rulebook

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/rules"
)

// How is by what a process proposes its rules.
type How string

// The two ways. A process that starts must not undo what others did while it
// was away; a person who changes a file, or sends SIGHUP, means it.
const (
	Start  How = "start"
	Change How = "change"
)

// Proposal is what became of one.
type Proposal struct {
	// Taken says that the proposed set is in force because of this proposal.
	Taken bool
	// InForce is what is in force now: the same set too where it was already.
	InForce InForce
}

// Follows reports whether the process follows a set that is not its own.
func (p Proposal) Follows(version string) bool { return p.InForce.Version != version }

// Propose puts a set in force, or finds that another one stays. origin says
// whose files they are: host name and path.
//
// Where nothing is in force it is taken, and where it is in force already
// nothing happens. At a Start another set is replaced only if it came from the
// same origin; a Change replaces any. Of two who propose at once, the one who
// loses looks again and decides again.
func (b *Book) Propose(ctx context.Context, set *rules.Set, origin string, how How) (Proposal, error) {
	b.mu.Lock()
	b.own = set.Version
	b.mu.Unlock()
	active, err := b.look(ctx)
	if err != nil {
		return Proposal{}, fmt.Errorf("propose rules: %w", err)
	}
	p := Proposal{InForce: *active}
	if !stays(active, set.Version, origin, how) {
		if p, err = b.putInForce(ctx, set, origin, how); err != nil {
			return Proposal{}, fmt.Errorf("propose rules: %w", err)
		}
	}
	if p.Follows(set.Version) {
		b.log.Warn("this process has other rules than those in force: it follows those in force; send SIGHUP to put its own in force",
			"own_version", set.Version, "own_from", origin, "version", p.InForce.Version, "from", p.InForce.Origin)
	}
	return p, nil
}

// stays reports whether what is in force stays; where nothing is, it does not.
func stays(active *InForce, version, origin string, how How) bool {
	if active.Load == "" {
		return false
	}
	return active.Version == version || how == Start && active.Origin != origin
}

// putInForce puts the set in force, unless what came into force meanwhile stays.
// The set is kept before another process can learn of it.
func (b *Book) putInForce(ctx context.Context, set *rules.Set, origin string, how How) (p Proposal, err error) {
	keeping, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := b.keep(keeping, set); err != nil {
		return p, err
	}
	// The lanes' entries hold whole milliseconds.
	since := time.Now().UTC().Truncate(time.Millisecond)
	mine := InForce{Load: events.NewULID(), Version: set.Version, Since: since, Origin: origin, By: how}
	err = b.inForce.Change(ctx, func(active *InForce) (changed bool) {
		// A first try of ours may have been kept without an answer.
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
