package rulebook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gavel/events"
)

const (
	// faultsKey holds the faults of all processes.
	faultsKey = "faults"
	// shareEvery is how often a process adds its own faults to them.
	shareEvery = 10 * time.Second
	// maxFaults bounds the places whose faults are counted. A set of 200 rules has
	// far fewer.
	maxFaults = 1000
)

// Fault counts how often one place of a rule could not be evaluated.
type Fault struct {
	Rule string `json:"rule"`
	// In is the place: when, unless, or another part of the rule.
	In    string    `json:"in"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
	// Why is the error of the last failed evaluation. It quotes no value.
	Why string `json:"why,omitempty"`
}

// place is a place of a rule.
type place struct{ rule, in string }

// faults are those of one set. shared are those of all processes; unshared and fired are
// those of this process that the bucket does not contain yet.
type faults struct {
	shared   sharedFaults
	unshared map[place]Fault
	fired    map[string]Fired
}

// sharedFaults is the value in the bucket.
type sharedFaults struct {
	// Load is the load whose faults are counted.
	Load   string  `json:"load"`
	Faults []Fault `json:"faults"`
	// Fired counts the decisions of rules, of each since its version came into force.
	Fired []Fired `json:"fired,omitempty"`
}

// list returns all faults, sorted by rule and place.
func (f *faults) list() []Fault { return f.shared.with(f.unshared) }

// with returns the sum of s and more, sorted by rule and place.
func (s sharedFaults) with(more map[place]Fault) []Fault {
	all := make(map[place]Fault, len(s.Faults)+len(more))
	for _, one := range s.Faults {
		all[place{one.Rule, one.In}] = one
	}
	for at, one := range more {
		before, known := all[at]
		if !known && len(all) >= maxFaults {
			continue
		}
		one.Count += before.Count
		all[at] = one
	}
	sum := slices.AppendSeq(make([]Fault, 0, len(all)), maps.Values(all))
	slices.SortFunc(sum, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.In, b.In)) })
	return sum
}

// Fault counts a failed evaluation of one place of a rule of the set in force; why is its error.
// Other processes show it within 20 s: each shares every 10 s.
func (b *Book) Fault(rule, in, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.unshared == nil {
		b.faults.unshared = map[place]Fault{}
	}
	at := place{rule, in}
	one := b.faults.unshared[at]
	if one.Count == 0 && len(b.faults.unshared) >= maxFaults {
		return
	}
	b.faults.unshared[at] = Fault{Rule: rule, In: in, Count: one.Count + 1, Last: time.Now().UTC().Truncate(time.Second), Why: why}
}

// shareFaults adds this process's faults to those in the bucket, and stores the
// sum in b. If other processes changed the bucket first at every try, or the
// bucket did not answer, the faults wait for the next call. A lost answer can
// count them twice.
func (b *Book) shareFaults(ctx context.Context) error {
	active, _ := b.Active()
	versions := b.ruleVersions(ctx, active.Version)
	mine, fired := b.claimFaults(versions != nil)
	var sum sharedFaults
	err := b.shared.Change(ctx, func(now *sharedFaults) (changed bool) {
		if now.Load != active.ID { // drop the faults of an earlier set
			*now = sharedFaults{Load: active.ID, Fired: now.Fired}
		}
		if len(mine) > 0 {
			now.Faults = now.with(mine)
		}
		if len(fired) > 0 {
			now.Fired = addFired(now.Fired, fired, versions)
		}
		sum = *now
		return len(mine)+len(fired) > 0
	})
	if err != nil {
		b.returnFaults(mine)
		b.returnFired(fired)
		if errors.Is(err, events.ErrKeyChanged) {
			return nil
		}
		return fmt.Errorf("share faults of rules: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults.shared = sum
	return nil
}

// decodeFaults returns no faults for a value that it cannot decode: faults are
// only statistics.
func decodeFaults(value []byte) (*sharedFaults, error) {
	f := &sharedFaults{}
	if json.Unmarshal(value, f) != nil {
		f = &sharedFaults{}
	}
	return f, nil
}

// claimFaults removes and returns this process's unshared faults and, if withFired, decisions.
func (b *Book) claimFaults(withFired bool) (mine map[place]Fault, fired map[string]Fired) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine, b.faults.unshared = b.faults.unshared, nil
	if withFired {
		fired, b.faults.fired = b.faults.fired, nil
	}
	return mine, fired
}

// returnFaults adds faults to the unshared ones, for the next shareFaults.
func (b *Book) returnFaults(mine map[place]Fault) {
	if len(mine) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, one := range b.faults.unshared {
		one.Count += mine[at].Count
		mine[at] = one
	}
	b.faults.unshared = mine
}
