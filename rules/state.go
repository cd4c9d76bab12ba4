package rules

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"gavel/rules/condition"
)

// Bounds of a state, so that its size is limited. What exceeds a bound is not
// judged, and Truncated is set.
const (
	// MaxStretches bounds the conditions that hold in one conference at a time, and the moments
	// when time alone may change one: four rules for each of the 250 legs that Twilio allows.
	MaxStretches = 1000
	// MaxLadders bounds the ladders that run for single events at a time; MaxRest bounds the
	// decisions that all of them together have still to make.
	MaxLadders = 64
	MaxRest    = 1000
)

// State is what Judge remembers of one conference, nil if that is nothing. The same journal gives
// the same state, byte for byte in JSON. It is a value: Judge never changes one.
type State struct {
	// Now is the conference's own time: the greatest ReceivedAt so far.
	Now time.Time `json:"now,omitzero"`
	// Alarm is the time of the last wake-up that was requested.
	Alarm time.Time `json:"alarm,omitzero"`
	// Stretches are the conditions that hold, by rule and leg.
	Stretches []Stretch `json:"stretches,omitempty"`
	// Flips are when time alone may change a condition, by rule and leg.
	Flips []Flip `json:"flips,omitempty"`
	// Ladders are rules about a single event that have steps left, in the order of the events.
	Ladders []Ladder `json:"ladders,omitempty"`
	// Exemptions are what people exempted, by rule.
	Exemptions []ExemptUntil `json:"exemptions,omitempty"`
	// Truncated is set once a bound was exceeded.
	Truncated bool `json:"truncated,omitempty"`
}

// Stretch is one condition that holds for one subject, from the record that made it true to the one
// that makes it false. An occasion is part of a stretch.
type Stretch struct {
	Rule string `json:"rule"`
	// Version is the version of the rule that the ladder is of.
	Version string `json:"version"`
	CallSid string `json:"call_sid,omitempty"` // of the subject, or "" for the conference
	// Occasion names what made the condition true.
	Occasion string `json:"occasion"`
	// Since is when it became true, by the conference's own time, or when the
	// rule's `for` was restarted.
	Since time.Time `json:"since"`
	// Stale: what made it true was too old, or from the future.
	Stale bool  `json:"stale,omitempty"`
	Phase Phase `json:"phase"`
	// Attempt counts from 1. Step is the last step decided or waited at, of Of; 0 means none yet.
	Attempt int `json:"attempt"`
	Step    int `json:"step,omitempty"`
	Of      int `json:"of"`
	// Due is when the stretch continues without an event; zero means never.
	Due time.Time `json:"due,omitzero"`
	// Awaiting are the decisions of the step whose result is still missing.
	// Failed: another decision of the step did not end done.
	Awaiting []string `json:"awaiting,omitempty"`
	Failed   bool     `json:"failed,omitempty"`
	// Turned is set if the stretch began with another engine: since when the condition has held, as
	// far as the record shows. Steps that the record shows as done since then are not repeated.
	Turned time.Time `json:"turned,omitzero"`
	// Acted: the performer got at least one decision of this occasion.
	Acted bool `json:"acted,omitempty"`
	// Parked is since when the rule has been off or absent, zero if it is in force. Nothing of a parked
	// stretch is due.
	Parked time.Time `json:"parked,omitzero"`
	// Next is the occasion that begins if the last step of a rule that has changed is not done.
	Next string `json:"next,omitempty"`
	// Undone: a decision of the step was not performed because of rules that the lane did not have.
	// Redo is the step that is decided again because of that, and Redone how many attempts began so.
	Undone bool `json:"undone,omitempty"`
	// Quiet: a decision of the step was not performed because of quiet hours.
	Quiet  bool `json:"quiet,omitempty"`
	Redo   int  `json:"redo,omitempty"`
	Redone int  `json:"redone,omitempty"`
	// TooLate counts the facts that arrived after the first decision, though they belong before it.
	TooLate int `json:"too_late,omitempty"`

	ended bool // while Judge runs: it is no part of the state any more
}

// Phase is the progress of a stretch.
type Phase string

// The phases of a stretch.
const (
	Running Phase = "running" // the rule's `for` runs
	Acting  Phase = "acting"  // waits for a step's result
	Waiting Phase = "waiting" // at a wait step
	Held    Phase = "held"    // until the quiet hours are over
	Resting Phase = "resting" // until the next attempt
	// Reloading: the performer met other rules, which the lane does not have yet.
	Reloading Phase = "reloading"
	Unsure    Phase = "unsure" // stale: until the conference is fetched from Twilio again
	Over      Phase = "over"   // nothing more is done on this occasion
)

// midway reports whether the ladder began and has steps left.
func (s *Stretch) midway() bool {
	return s.Step > 0 && s.Step < s.Of && (s.Phase == Acting || s.Phase == Waiting || s.Phase == Held)
}

// Flip is when time alone may change a rule's condition for one subject.
type Flip struct {
	Rule    string    `json:"rule"`
	CallSid string    `json:"call_sid,omitempty"`
	Due     time.Time `json:"due"`
}

// Ladder is a rule that runs its steps for a single event. A later step is due
// after the event has passed, so all steps were evaluated at the event.
type Ladder struct {
	Rule     string     `json:"rule"`
	Step     int        `json:"step"` // the last one decided
	Awaiting []string   `json:"awaiting"`
	Failed   bool       `json:"failed,omitempty"`
	Rest     []Decision `json:"rest"` // never empty, in the order of steps
	// Kept is for those of them that call Twilio.
	Kept condition.Kept `json:"kept,omitempty"`
}

// ExemptUntil exempts one conference from rules until a time, because a person set that.
type ExemptUntil struct {
	// Rule is the exempt rule, or "" for all.
	Rule  string    `json:"rule,omitempty"`
	Until time.Time `json:"until"`
}

// Deadline is a moment when a conference is judged without an event.
type Deadline struct {
	Due     time.Time `json:"due"`
	Rule    string    `json:"rule,omitempty"` // "" at the end of an exemption from all
	CallSid string    `json:"call_sid,omitempty"`
}

// compare orders deadlines as they are judged: by due, then by rule.
func (d Deadline) compare(e Deadline) int {
	return cmp.Or(d.Due.Compare(e.Due), strings.Compare(d.Rule, e.Rule), strings.Compare(d.CallSid, e.CallSid))
}

// Deadlines returns the armed deadlines, in the order of their judgement.
func (s *State) Deadlines() []Deadline {
	var all []Deadline
	s.eachDeadline(func(d Deadline) { all = append(all, d) })
	slices.SortFunc(all, Deadline.compare)
	return slices.Compact(all)
}

// next returns the deadline that is judged first, and whether one is armed.
func (s *State) next() (first Deadline, armed bool) {
	s.eachDeadline(func(d Deadline) {
		if !armed || d.compare(first) < 0 {
			first, armed = d, true
		}
	})
	return first, armed
}

// Next returns the moment of the earliest deadline, zero if none is armed.
func (s *State) Next() time.Time {
	d, _ := s.next()
	return d.Due
}

func (s *State) eachDeadline(visit func(Deadline)) {
	if s == nil {
		return
	}
	for i := range s.Stretches {
		if x := &s.Stretches[i]; !x.Due.IsZero() && x.Parked.IsZero() {
			visit(Deadline{x.Due, x.Rule, x.CallSid})
		}
	}
	for _, f := range s.Flips {
		visit(Deadline{f.Due, f.Rule, f.CallSid})
	}
	for _, e := range s.Exemptions {
		visit(Deadline{Due: e.Until, Rule: e.Rule})
	}
}

// empty reports whether nothing has to be remembered. The conference's time
// alone is not kept: the next entry brings its own.
func (s *State) empty() bool {
	return s == nil || len(s.Stretches)+len(s.Flips)+len(s.Ladders)+len(s.Exemptions) == 0 &&
		!s.Truncated && s.Alarm.IsZero()
}

// copy returns a state that the caller may change. Lists of ids and of
// decisions stay shared: they are replaced, never written into.
func (s *State) copy() *State {
	if s == nil {
		return &State{}
	}
	c := *s
	c.Stretches = slices.Clone(s.Stretches)
	c.Flips = slices.Clone(s.Flips)
	c.Ladders = slices.Clone(s.Ladders)
	c.Exemptions = slices.Clone(s.Exemptions)
	return &c
}

// stretch returns the place of a rule's stretch for a subject, and whether it exists. It is found
// for each rule and leg, so the comparisons copy no stretch.
func (s *State) stretch(rule, callSid string) (at int, there bool) {
	return sort.Find(len(s.Stretches), func(i int) int {
		x := &s.Stretches[i]
		return compareSubjects(rule, callSid, x.Rule, x.CallSid)
	})
}

// isAt reports whether the stretch of a rule for a subject is at a place.
func (s *State) isAt(at int, rule, callSid string) bool {
	return at < len(s.Stretches) && s.Stretches[at].Rule == rule && s.Stretches[at].CallSid == callSid
}

// flip returns the same for flips.
func (s *State) flip(rule, callSid string) (at int, there bool) {
	return sort.Find(len(s.Flips), func(i int) int {
		x := &s.Flips[i]
		return compareSubjects(rule, callSid, x.Rule, x.CallSid)
	})
}

// compareSubjects orders subjects of rules: by rule, then by leg, which most comparisons do not need.
func compareSubjects(rule, callSid, otherRule, otherSid string) int {
	if rule != otherRule {
		return strings.Compare(rule, otherRule)
	}
	return strings.Compare(callSid, otherSid)
}

// armed reports whether time alone may change a rule's condition for a subject.
func (s *State) armed(rule, callSid string) bool {
	_, there := s.flip(rule, callSid)
	return there
}

// arm sets when time alone may change a rule's condition; zero means never.
func (s *State) arm(rule, callSid string, due time.Time) {
	at, there := s.flip(rule, callSid)
	switch {
	case due.IsZero() && there:
		s.Flips = slices.Delete(s.Flips, at, at+1)
	case due.IsZero():
	case there:
		s.Flips[at].Due = due
	case len(s.Flips) >= MaxStretches:
		s.Truncated = true
	default:
		s.Flips = slices.Insert(s.Flips, at, Flip{rule, callSid, due})
	}
}

// remembers reports whether the state has a stretch or flip of a rule.
func (s *State) remembers(rule string) bool {
	stretch, _ := s.stretch(rule, "")
	flip, _ := s.flip(rule, "")
	return stretch < len(s.Stretches) && s.Stretches[stretch].Rule == rule || flip < len(s.Flips) && s.Flips[flip].Rule == rule
}

// roomFor reports whether the state has room for another ladder.
func (s *State) roomFor(l Ladder) bool {
	rest := len(l.Rest)
	for _, other := range s.Ladders {
		rest += len(other.Rest)
	}
	return len(s.Ladders) < MaxLadders && rest <= MaxRest
}

// exempt reports whether the conference is exempt from a rule at that moment.
func (s *State) exempt(rule string, now time.Time) bool {
	return slices.ContainsFunc(s.Exemptions, func(e ExemptUntil) bool {
		return (e.Rule == "" || e.Rule == rule) && now.Before(e.Until)
	})
}
