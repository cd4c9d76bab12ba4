package lanes

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"gavel/events"
	"gavel/rules"
)

// maxMarks bounds the matches in all tallies of a lane, at about 100 bytes each.
// Every batch that changes the lane's state writes all of them.
const maxMarks = 10_000

// countKey is the key of one tally: an account's matches of a rule with the same value of `by`.
func countKey(accountSid, rule, by string) string { return accountSid + "/" + rule + "/" + by }

// count adds the match in e to its tally. The decisions that it returns belong to
// the account, not to a conference. changed reports whether the lane's state has
// changed. The error for an invalid entry is a *events.FormError.
func (m *Machine) count(ctx context.Context, e *Entry) (_ []rules.Decision, changed bool, err error) {
	read, err := e.Event.Match()
	if err != nil {
		return nil, false, err
	}
	match, err := rules.ReadDecision([]byte(read.Decision))
	if err != nil {
		return nil, false, &events.FormError{Field: "Match", Reason: "is not a decision"}
	}
	if m.unjudged(m.loadsBefore(e.At)) {
		return nil, false, nil
	}
	set, err := m.setOf(ctx, m.loadsBefore(e.At)-1)
	if err != nil {
		return nil, false, err
	}
	key := countKey(match.AccountSid, match.Rule, match.By)
	tally, decisions := rules.JudgeCount(set, m.state.Tallies[key], match)
	if len(tally.Marks) == 0 {
		return decisions, false, nil
	}
	m.marks += len(tally.Marks) - len(m.state.Tallies[key].Marks)
	m.state.Tallies[key] = tally
	m.state.Applied = e.At
	m.boundTallies()
	return decisions, true, nil
}

// boundTallies drops tallies if they have more than maxMarks matches together. It
// begins with the tally that has not grown for the longest time, and stops at
// half of maxMarks, so that it does not run for every match.
func (m *Machine) boundTallies() {
	if m.marks <= maxMarks {
		return
	}
	all := m.state.Tallies
	oldest := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(all[a].Now.Compare(all[b].Now), cmp.Compare(a, b))
	})
	for _, key := range oldest {
		if m.marks <= maxMarks/2 {
			return
		}
		m.marks -= len(all[key].Marks)
		delete(all, key)
	}
}

// dropTallies drops the tallies of rules that the set does not have or that no longer count. All
// drops every tally: a fill has no matches from before this machine's engine.
func (m *Machine) dropTallies(set *rules.Set, all bool) {
	maps.DeleteFunc(m.state.Tallies, func(key string, t rules.Tally) bool {
		_, rest, _ := strings.Cut(key, "/")
		name, _, _ := strings.Cut(rest, "/")
		r := set.Rule(name)
		gone := all || r == nil || r.Count == nil
		if gone {
			m.marks -= len(t.Marks)
		}
		return gone
	})
}
