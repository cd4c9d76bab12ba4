package brakes

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"gavel/rules"
)

const (
	// minute and hour are the windows of the limits.
	minute window = 60
	hour   window = 60 * 60
	// remembered is how long the ledger keeps the id of an admitted action. It is
	// longer than the action may be tried.
	remembered = window(2 * rules.MaxAge / time.Second)
	// maxIDs bounds the ids in the ledger. Beyond it the oldest are dropped, and
	// their actions would be counted twice: too strict rather than too lax.
	maxIDs = 4096
	// maxOccasions bounds the occasions in the ledger, which is saved at each admission. Beyond it the
	// oldest are dropped, and their further steps count: too strict again.
	maxOccasions = 1024
	// maxPast and maxPastOfRule bound the trips and resets that are kept, of all
	// rules and of one.
	maxPast       = 200
	maxPastOfRule = 20
)

// ledger contains the actions that were admitted, over all processes.
type ledger struct {
	// IDs are the ids of recently admitted actions, oldest first.
	IDs admissions `json:"ids,omitempty"`
	// Occasions are the pairs of a rule and a subject that the limits of rules counted within the last
	// minute, oldest first. A former version drops them, and counts each step.
	Occasions admissions       `json:"occasions,omitempty"`
	Rules     map[string]*rule `json:"rules,omitempty"`
	// Accounts counts the actions of the last minute, of each account that has a
	// ceiling.
	Accounts map[string]tallies `json:"accounts,omitempty"`
	// Past contains trips and resets, oldest first.
	Past []Change `json:"past,omitempty"`

	known   map[uint64]struct{} // the ids in IDs
	counted map[uint64]struct{} // the ids in Occasions
	tripped []string            // rules that tripped since the ledger was parsed
}

// rule counts the admitted actions of one rule. A reset empties Hour and keeps
// Minute.
type rule struct {
	Minute tallies `json:"minute,omitempty"`
	Hour   tallies `json:"hour,omitempty"`
	Trip   *Trip   `json:"trip,omitempty"`
}

// Trip means that a rule acted too often.
type Trip struct {
	Since time.Time `json:"since"`
	// Admissions is the number of admissions in the hour before Since.
	Admissions int `json:"admissions"`
}

// parseLedger decodes a ledger and drops what has expired by now. Without bytes
// the ledger is empty.
func parseLedger(value []byte, now time.Time) (*ledger, error) {
	l := &ledger{}
	if len(value) > 0 {
		if err := json.Unmarshal(value, l); err != nil {
			return nil, fmt.Errorf("parse the ledger of admissions: %w", err)
		}
	}
	l.known, l.counted = l.IDs.set(), l.Occasions.set()
	l.expire(now.Unix())
	return l, nil
}

// refresh makes a ledger that was saved as if it was parsed now.
func (l *ledger) refresh(now time.Time) {
	l.tripped = nil
	l.expire(now.Unix())
}

// keep keeps the last part of all, and removes the others from the set of its ids.
func keep(all *admissions, set map[uint64]struct{}, last admissions) {
	for _, a := range (*all)[:len(*all)-len(last)] {
		delete(set, a.id)
	}
	*all = last
}

// expire drops ids, counts and rules that no limit depends on any more.
func (l *ledger) expire(now int64) {
	keep(&l.IDs, l.known, l.IDs.within(remembered, now))
	l.expireOccasions(now)
	for name, r := range l.Rules {
		if r == nil {
			delete(l.Rules, name)
			continue
		}
		r.Minute, r.Hour = r.Minute.within(minute, now), r.Hour.within(hour, now)
		if len(r.Minute) == 0 && len(r.Hour) == 0 && r.Trip == nil {
			delete(l.Rules, name)
		}
	}
	for sid, t := range l.Accounts {
		if l.Accounts[sid] = t.within(minute, now); len(l.Accounts[sid]) == 0 {
			delete(l.Accounts, sid)
		}
	}
}

// expireOccasions drops the occasions that count again.
func (l *ledger) expireOccasions(now int64) {
	keep(&l.Occasions, l.counted, l.Occasions.within(minute, now))
}

// admit decides on one request. changed reports whether the ledger has to be
// saved: the request was counted, or the rule tripped because its limit was
// lowered, or stamps were ahead of now.
func (l *ledger) admit(r Request, now time.Time) (v Verdict, changed bool) {
	id := hashOf(r.ID)
	if _, repeat := l.known[id]; repeat {
		return Verdict{Answer: Admitted, Repeat: true}, false
	}
	second := now.Unix()
	l.expireOccasions(second)
	of := l.rule(r.Rule)
	changed = l.timely(second)
	if of.Trip == nil && of.full(r.Limits, second) {
		l.trip(r.Rule, now)
		changed = true
	}
	if of.Trip != nil {
		return Verdict{Answer: Tripped}, changed
	}
	if until := l.free(r, second); until > second {
		return Verdict{Answer: Wait, Until: time.Unix(until, 0).UTC()}, changed
	}
	l.count(r, id, second)
	if of.full(r.Limits, second) {
		l.trip(r.Rule, now)
	}
	return Verdict{Answer: Admitted}, true
}

// timely corrects all stamps that a wrong clock set, and reports whether there was one.
func (l *ledger) timely(now int64) (corrected bool) {
	corrected = l.IDs.timely(now)
	corrected = l.Occasions.timely(now) || corrected
	for _, r := range l.Rules {
		corrected = r.Minute.timely(now) || corrected
		corrected = r.Hour.timely(now) || corrected
	}
	for _, t := range l.Accounts {
		corrected = t.timely(now) || corrected
	}
	return corrected
}

func (l *ledger) rule(name string) *rule {
	if l.Rules == nil {
		l.Rules = map[string]*rule{}
	}
	if l.Rules[name] == nil {
		l.Rules[name] = &rule{}
	}
	return l.Rules[name]
}

// full reports whether the rule's actions of the last hour trip it.
func (r *rule) full(limits rules.Limits, second int64) bool {
	return limits.TripAfter > 0 && r.Hour.count(hour, second) >= limits.TripAfter
}

// free returns the second from which on the rule's limit and the account's
// ceiling both admit one more action. A further step for a subject needs no room
// in the rule's limit: otherwise the announcements to new callers would keep the rule from ending any
// call.
func (l *ledger) free(r Request, second int64) int64 {
	ceiling := l.Accounts[r.AccountSid].free(minute, r.Ceiling.PerMinute, second)
	if _, further := l.counted[r.occasion()]; further {
		return ceiling
	}
	return max(ceiling, l.Rules[r.Rule].Minute.free(minute, r.Limits.PerMinute, second))
}

func (l *ledger) count(r Request, id uint64, second int64) {
	of, occasion := l.Rules[r.Rule], r.occasion()
	if _, further := l.counted[occasion]; !further {
		of.Minute, of.Hour = of.Minute.add(second), of.Hour.add(second)
		if occasion != 0 {
			remember(&l.Occasions, l.counted, occasion, second, maxOccasions)
		}
	}
	if r.Ceiling.PerMinute > 0 {
		if l.Accounts == nil {
			l.Accounts = map[string]tallies{}
		}
		l.Accounts[r.AccountSid] = l.Accounts[r.AccountSid].add(second)
	}
	remember(&l.IDs, l.known, id, second, maxIDs)
}

// remember appends an id that the set does not have. Beyond most the oldest are dropped.
func remember(all *admissions, set map[uint64]struct{}, id uint64, second int64, most int) {
	if last := len(*all) - 1; last >= 0 { // the clock of the process that added it may be ahead
		second = max(second, (*all)[last].second)
	}
	*all = append(*all, admission{second, id})
	set[id] = struct{}{}
	keep(all, set, (*all)[max(0, len(*all)-most):])
}

func (l *ledger) trip(name string, now time.Time) {
	of := l.Rules[name]
	of.Trip = &Trip{Since: now.UTC(), Admissions: of.Hour.count(hour, now.Unix())}
	l.note(Change{Rule: name, What: WasTripped, At: now.UTC()})
	l.tripped = append(l.tripped, name)
}

// reset lets a rule act again and starts its hour now; otherwise the next action
// would trip it at once. It reports whether the rule was tripped.
func (l *ledger) reset(c Change) bool {
	of := l.Rules[c.Rule]
	if of == nil || of.Trip == nil {
		return false
	}
	of.Trip, of.Hour = nil, nil
	l.note(c)
	return true
}

// note appends a change to Past. It drops the oldest beyond maxPastOfRule and
// maxPast.
func (l *ledger) note(c Change) {
	l.Past = append(l.Past, c)
	ofRule, first := 0, 0
	for i, past := range slices.Backward(l.Past) {
		if past.Rule == c.Rule {
			ofRule, first = ofRule+1, i
		}
	}
	if ofRule > maxPastOfRule {
		l.Past = slices.Delete(l.Past, first, first+1)
	}
	if len(l.Past) > maxPast {
		l.Past = l.Past[1:]
	}
}

// hashOf returns the 64 bits of an id that the ledger stores; the id is a hash
// itself. Two of 4096 ids collide with a probability of 10^-12. Then one action
// is admitted without being counted.
func hashOf(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}
