package rules

import (
	"slices"
	"time"

	"gavel/rules/condition"
)

// match adds one match of a rule that counts. What follows if this match
// completes the count is evaluated now, on the current conference.
func (c *evaluation) match(r *Rule, v condition.Vars, o occasion) {
	by, err := r.Count.By.Text(v)
	if err != nil {
		c.fault(r, "count", err)
		return
	}
	d := c.decision(r.Name, 0, o)
	d.Verdict, d.By = Match, by
	d.ID = d.id()
	for n := range r.Do {
		d.Then = append(d.Then, c.decide(r, n+1, v, o)...)
	}
	c.decisions = append(c.decisions, d)
}

// Tally is the state of one count: of one rule, in one account, by one value.
type Tally struct {
	// Now is the tally's own time: the greatest AsOf among its matches.
	Now time.Time `json:"now,omitzero"`
	// Marks are the newest matches, oldest first, as many as the rule waits
	// for. The count is complete if all of them are within its window.
	Marks []Mark `json:"marks,omitempty"`
}

// Mark is one match.
type Mark struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// JudgeCount counts one more match. It is pure, like Judge; only the lane of the count calls it.
// The match that completes the count names the occasion, which lasts until the window has fewer
// matches. All steps are decided at once, because a rule that counts only sends notifications. The
// decisions name no conference.
func JudgeCount(set *Set, t Tally, match Decision) (Tally, []Decision) {
	r := set.Rule(match.Rule)
	if r == nil || r.Count == nil || r.Mode == Off || t.has(match.ID) {
		return t, nil
	}
	if match.AsOf.After(t.Now) {
		t.Now = match.AsOf
	}
	full := t.full(r.Count)
	t.Marks = append(slices.Clone(t.Marks), Mark{match.ID, match.AsOf})
	slices.SortStableFunc(t.Marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	t.Marks = t.Marks[max(0, len(t.Marks)-r.Count.AtLeast):]
	if full || !t.full(r.Count) {
		return t, nil
	}
	return t, t.decide(set, match)
}

func (t Tally) has(id string) bool {
	return slices.ContainsFunc(t.Marks, func(m Mark) bool { return m.ID == id })
}

// full reports whether the window contains as many matches as the rule waits for.
func (t Tally) full(n *Count) bool {
	return len(t.Marks) >= n.AtLeast && t.Marks[len(t.Marks)-n.AtLeast].At.After(t.Now.Add(-n.Within))
}

// decide returns the steps that came with the match, without the conference of
// the last match: they stand for all matches.
func (t Tally) decide(set *Set, match Decision) []Decision {
	all := slices.Clone(match.Then)
	for i := range all {
		d := &all[i]
		d.Version, d.By, d.AsOf = set.Version, match.By, t.Now
		d.ConferenceSid, d.CallSid, d.Subject = "", "", ""
		d.Occasion, d.Attempt = match.ID, 1
		d.ID = d.id()
	}
	return all
}
