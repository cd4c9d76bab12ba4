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
	// faultsKey holds what could not be evaluated in any process.
	faultsKey = "faults"
	// shareEvery is how often a process adds its own to that.
	shareEvery = 10 * time.Second
	// maxFaults bounds the places that are counted, far beyond what a set of
	// 200 rules has.
	maxFaults = 1000
)

// Fault is how often something of a rule could not be evaluated.
type Fault struct {
	Rule string `json:"rule"`
	// In is the place: when, unless, or what else the rule has.
	In    string    `json:"in"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// place is where a fault is.
type place struct{ rule, in string }

// faults are of one set: those that all processes told, and those that this one
// has not told yet.
type faults struct {
	told   sharedFaults
	untold map[place]Fault
}

// sharedFaults is what the bucket holds.
type sharedFaults struct {
	// Load is the load since which they are counted.
	Load   string  `json:"load"`
	Faults []Fault `json:"faults"`
}

// list returns all of them, by rule and place.
func (f *faults) list() []Fault { return f.told.with(f.untold) }

// with returns both added up.
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

// Fault counts that something of a rule of the set in force could not be
// evaluated. The others hear of it within 10 s.
func (b *Book) Fault(rule, in string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.untold == nil {
		b.faults.untold = map[place]Fault{}
	}
	at := place{rule, in}
	one := b.faults.untold[at]
	if one.Count == 0 && len(b.faults.untold) >= maxFaults {
		return
	}
	b.faults.untold[at] = Fault{Rule: rule, In: in, Count: one.Count + 1, Last: time.Now().UTC().Truncate(time.Second)}
}

// shareFaults adds this process's faults to the bucket's, and takes over the
// others'. Where others were faster again and again, they wait for the next time; so
// they do where no answer came, which counts them twice at worst.
func (b *Book) shareFaults(ctx context.Context) error {
	active, _ := b.Active()
	mine := b.takeFaults()
	var told sharedFaults
	err := b.shared.Change(ctx, func(now *sharedFaults) (changed bool) {
		if now.Load != active.ID { // those of a set before it count no more
			*now = sharedFaults{Load: active.ID}
		}
		if len(mine) > 0 {
			now.Faults = now.with(mine)
		}
		told = *now
		return len(mine) > 0
	})
	if err != nil {
		if len(mine) > 0 {
			b.giveBack(mine)
		}
		if errors.Is(err, events.ErrKeyChanged) {
			return nil
		}
		return fmt.Errorf("share faults of rules: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults.told = told
	return nil
}

// decodeFaults takes what cannot be read for none: they are only counted.
func decodeFaults(value []byte) (*sharedFaults, error) {
	f := &sharedFaults{}
	if json.Unmarshal(value, f) != nil {
		f = &sharedFaults{}
	}
	return f, nil
}

func (b *Book) takeFaults() map[place]Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := b.faults.untold
	b.faults.untold = nil
	return mine
}

// giveBack keeps faults for the next time, beside those that came meanwhile.
func (b *Book) giveBack(mine map[place]Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, one := range b.faults.untold {
		one.Count += mine[at].Count
		mine[at] = one
	}
	b.faults.untold = mine
}
