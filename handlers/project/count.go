package project

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/rules"
)

// maxMarks bounds the matches that a lane remembers over all its counts, at
// about 100 bytes each: the lane's state is written whole with every batch that
// changes it.
const maxMarks = 10_000

// countKey names one count: it chooses the lane that does the counting.
func countKey(accountSid, rule, by string) string { return accountSid + "/" + rule + "/" + by }

// newMatch is the journal's entry of a match, and the count that it is for.
func newMatch(d rules.Decision, at time.Time) (key string, e events.Entry, err error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return "", e, fmt.Errorf("encode a match of rule %s: %w", d.Rule, err)
	}
	m := events.Match{ID: d.ID, AccountSid: d.AccountSid, Rule: d.Rule, Decision: string(raw)}
	return countKey(d.AccountSid, d.Rule, d.By), events.NewMatch(m, at), nil
}

// count counts one more match. What it gives is to be decided in the account,
// for no conference. A match that cannot be read is a *events.FormError.
func (d *docket) count(ctx context.Context, e *events.Event, at events.Position) ([]rules.Decision, error) {
	m, err := e.Match()
	if err != nil {
		return nil, err
	}
	var match rules.Decision
	if err := json.Unmarshal([]byte(m.Decision), &match); err != nil {
		return nil, &events.FormError{Field: "Match", Reason: "is no decision"}
	}
	set, err := d.setOf(ctx, d.before(at)-1)
	if err != nil {
		return nil, err
	}
	key := countKey(match.AccountSid, match.Rule, match.By)
	tally, decisions := rules.JudgeCount(set, d.state.Tallies[key], match)
	if len(tally.Marks) > 0 {
		d.marks += len(tally.Marks) - len(d.state.Tallies[key].Marks)
		d.state.Tallies[key] = tally
		d.boundTallies()
		d.touch(at)
	}
	return decisions, nil
}

// boundTallies forgets, once they are too many, the half to which nothing was
// added for the longest.
func (d *docket) boundTallies() {
	if d.marks <= maxMarks {
		return
	}
	all := d.state.Tallies
	oldest := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(all[a].Now.Compare(all[b].Now), cmp.Compare(a, b))
	})
	for _, key := range oldest {
		if d.marks <= maxMarks/2 {
			return
		}
		d.marks -= len(all[key].Marks)
		delete(all, key)
	}
}

// forgetTallies drops those of rules that are gone or count no more.
func (d *docket) forgetTallies(set *rules.Set) {
	maps.DeleteFunc(d.state.Tallies, func(key string, t rules.Tally) bool {
		_, rest, _ := strings.Cut(key, "/")
		name, _, _ := strings.Cut(rest, "/")
		r := set.Rule(name)
		gone := r == nil || r.Count == nil
		if gone {
			d.marks -= len(t.Marks)
		}
		return gone
	})
}
