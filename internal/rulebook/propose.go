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
	for {
		active, revision, err := b.look(ctx)
		if err != nil {
			return Proposal{}, fmt.Errorf("propose rules: %w", err)
		}
		if active != nil && stays(active, set.Version, origin, how) {
			b.stay(active, set.Version, origin)
			return Proposal{InForce: *active}, nil
		}
		taken, err := b.putInForce(ctx, set, origin, how, revision)
		if err == nil {
			return Proposal{Taken: true, InForce: taken}, nil
		}
		if !errors.Is(err, events.ErrKeyChanged) {
			return Proposal{}, fmt.Errorf("propose rules: %w", err)
		}
	}
}

// stays reports whether what is in force stays.
func stays(active *InForce, version, origin string, how How) bool {
	return active.Version == version || how == Start && active.Origin != origin
}

// stay says whose rules this process follows.
func (b *Book) stay(active *InForce, version, origin string) {
	if active.Version != version {
		b.log.Warn("this process has other rules than those in force: it follows those in force; send SIGHUP to put its own in force",
			"own_version", version, "own_from", origin, "version", active.Version, "from", active.Origin)
	}
}

// putInForce writes what is in force where nobody else did since that revision.
// The set is there before anybody can hear of it.
func (b *Book) putInForce(ctx context.Context, set *rules.Set, origin string, how How, revision uint64) (InForce, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := b.keep(ctx, set); err != nil {
		return InForce{}, err
	}
	// The lanes' entries hold whole milliseconds.
	since := time.Now().UTC().Truncate(time.Millisecond)
	active := InForce{Load: events.NewULID(), Version: set.Version, Since: since, Origin: origin, By: how}
	value, err := json.Marshal(active)
	if err != nil {
		return InForce{}, err
	}
	revision, err = b.bucket.Update(ctx, activeKey, value, revision)
	if err != nil {
		return InForce{}, fmt.Errorf("put in force: %w", err)
	}
	b.follow(&active, revision)
	return active, nil
}
