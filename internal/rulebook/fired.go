package rulebook

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"gavel/rules"
)

// Fired counts the decisions of a rule since its version came into force. A crash can count some
// twice, or lose those of the last 10 s.
type Fired struct {
	Rule string `json:"rule"`
	// Version is the rule's, "" for decisions that no process has shared yet.
	Version string `json:"version,omitempty"`
	// Acts, Woulds and Refusals are numbers of decisions by verdict.
	Acts     int `json:"acts,omitempty"`
	Woulds   int `json:"woulds,omitempty"`
	Refusals int `json:"refusals,omitempty"`
	// Last is the time of the last one that was not refused.
	Last time.Time `json:"last,omitzero"`
}

func (f Fired) plus(more Fired) Fired {
	f.Acts, f.Woulds, f.Refusals = f.Acts+more.Acts, f.Woulds+more.Woulds, f.Refusals+more.Refusals
	if more.Last.After(f.Last) {
		f.Last = more.Last
	}
	return f
}

// Decided counts a decision of a rule. Other processes show it within 20 s: each shares every 10 s.
func (b *Book) Decided(rule string, v rules.Verdict, asOf time.Time) {
	one := Fired{Rule: rule}
	switch v {
	case rules.Act:
		one.Acts, one.Last = 1, asOf
	case rules.Would:
		one.Woulds, one.Last = 1, asOf
	case rules.Refused:
		one.Refusals = 1
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addFired(one)
}

// addFired adds to what this process has not shared yet. The lock is held.
func (b *Book) addFired(one Fired) {
	if b.faults.fired == nil {
		b.faults.fired = map[string]Fired{}
	}
	if before, known := b.faults.fired[one.Rule]; known || len(b.faults.fired) < maxFaults {
		b.faults.fired[one.Rule] = one.plus(before)
	}
}

// returnFired adds decisions to the unshared ones, for the next shareFaults.
func (b *Book) returnFired(fired map[string]Fired) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range fired {
		b.addFired(one)
	}
}

// ruleVersions returns the versions of the rules of a set, by name, nil if they cannot be read now.
func (b *Book) ruleVersions(ctx context.Context, version string) map[string]string {
	if version == "" {
		return nil
	}
	set, err := b.Set(ctx, version)
	if err != nil {
		return nil
	}
	versions := make(map[string]string, len(set.Rules))
	for _, r := range set.Rules {
		versions[r.Name] = r.Version
	}
	return versions
}

// addFired adds decisions to those of all processes. What is in shared about rules that are not in
// force, or have changed, is dropped.
func addFired(shared []Fired, more map[string]Fired, versions map[string]string) []Fired {
	sum := map[string]Fired{}
	for _, one := range shared {
		if one.Version == versions[one.Rule] {
			sum[one.Rule] = one
		}
	}
	for rule, one := range more {
		if versions[rule] != "" {
			one = one.plus(sum[rule])
			one.Version = versions[rule]
			sum[rule] = one
		}
	}
	return sortFired(sum)
}

// listFired returns the decisions of all rules, sorted by rule.
func (f *faults) listFired() []Fired {
	sum := maps.Clone(f.fired)
	if sum == nil {
		sum = map[string]Fired{}
	}
	for _, one := range f.shared.Fired {
		sum[one.Rule] = one.plus(sum[one.Rule])
	}
	return sortFired(sum)
}

func sortFired(all map[string]Fired) []Fired {
	return slices.SortedFunc(maps.Values(all), func(a, b Fired) int { return cmp.Compare(a.Rule, b.Rule) })
}

// Refused is a set of rule files of this process that was not proposed, because it has faults.
type Refused struct {
	Origin string
	// Since is when it was found.
	Since time.Time
	// Faults are lines for people: file, line, column and rule, if the fault has a place.
	Faults []string
}

// Refuse records that this process's rule files have faults, so that the set in force stays. The
// next proposal ends that.
func (b *Book) Refuse(origin string, faults []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = &Refused{Origin: origin, Since: time.Now().UTC().Truncate(time.Second), Faults: faults}
}
