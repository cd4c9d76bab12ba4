package rules

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gavel/rules/condition"
)

// Bounds of a state, so that its size has one. What passes one is not judged,
// and the state says so in Truncated.
const (
	// MaxStretches bounds the conditions that hold in one conference at a time,
	// and the moments at which one may begin or cease to: four rules for each
	// of the 250 legs that Twilio allows.
	MaxStretches = 1000
	// MaxLadders bounds the rules that are at work on single events, one step
	// after the other; MaxRest the decisions that all of them together have
	// still before them.
	MaxLadders = 64
	MaxRest    = 1000
)

// State is what Judge remembers of one conference, nil where that is nothing.
// The same journal gives the same state, byte for byte in JSON. It is a value:
// Judge never changes one.
type State struct {
	// Now is the conference's own time: the greatest ReceivedAt so far.
	Now time.Time `json:"now,omitzero"`
	// Alarm is for when a wake-up was last asked for.
	Alarm time.Time `json:"alarm,omitzero"`
	// Stretches are the conditions that hold, by rule and leg.
	Stretches []Stretch `json:"stretches,omitempty"`
	// Flips are when time alone may turn a condition, by rule and leg.
	Flips []Flip `json:"flips,omitempty"`
	// Ladders are rules about a single event that have steps to go, in the
	// order of the events.
	Ladders []Ladder `json:"ladders,omitempty"`
	// Exemptions are what persons said, by rule.
	Exemptions []ExemptUntil `json:"exemptions,omitempty"`
	// Truncated is set once a bound was passed.
	Truncated bool `json:"truncated,omitempty"`
}

// Stretch is one condition that holds for one subject, from the record that
// turned it true to the one that turns it false. It is what an occasion lives in.
type Stretch struct {
	Rule    string `json:"rule"`
	CallSid string `json:"call_sid,omitempty"` // of the subject, or "" for the conference
	// Occasion names what turned the condition true.
	Occasion string `json:"occasion"`
	// Since is when it turned true, by the conference's own time, or when the
	// rule's `for` was begun anew.
	Since time.Time `json:"since"`
	// Stale: what turned it true was too old, or from the future.
	Stale bool  `json:"stale,omitempty"`
	Phase Phase `json:"phase"`
	// Attempt counts from 1. Step is the last step decided or waited at, of Of;
	// 0 is none.
	Attempt int `json:"attempt"`
	Step    int `json:"step,omitempty"`
	Of      int `json:"of"`
	// Due is when it goes on by itself; zero is never.
	Due time.Time `json:"due,omitzero"`
	// Awaiting are the decisions of the step that have no outcome yet. Failed:
	// one of the others did not end done.
	Awaiting []string `json:"awaiting,omitempty"`
	Failed   bool     `json:"failed,omitempty"`
	// Acted: the performer was asked for something in this occasion.
	Acted bool `json:"acted,omitempty"`
	// TooLate counts the facts that came after the first decision, though they
	// belong before it.
	TooLate int `json:"too_late,omitempty"`
}

// Phase is how far a stretch is.
type Phase string

// The phases of a stretch.
const (
	Running Phase = "running" // the rule's `for` runs
	Acting  Phase = "acting"  // a step's outcome is awaited
	Waiting Phase = "waiting" // at a step that waits
	Held    Phase = "held"    // until the quiet hours are over
	Resting Phase = "resting" // until the next attempt
	Unsure  Phase = "unsure"  // stale: until Twilio was asked again
	Over    Phase = "over"    // nothing more is done on this occasion
)

// midway reports whether the ladder was begun and has steps to go.
func (s *Stretch) midway() bool {
	return s.Step > 0 && s.Step < s.Of && (s.Phase == Acting || s.Phase == Waiting || s.Phase == Held)
}

// Flip is when time alone may turn a rule's condition for one subject.
type Flip struct {
	Rule    string    `json:"rule"`
	CallSid string    `json:"call_sid,omitempty"`
	Due     time.Time `json:"due"`
}

// Ladder is a rule at work on a single event. When the turn of a later step
// comes the event is gone, so all of them were evaluated when it was there.
type Ladder struct {
	Rule     string     `json:"rule"`
	Step     int        `json:"step"` // the last one decided
	Awaiting []string   `json:"awaiting"`
	Failed   bool       `json:"failed,omitempty"`
	Rest     []Decision `json:"rest"` // never empty, in the order of steps
	// Kept is for those of them that ask something of Twilio.
	Kept condition.Kept `json:"kept,omitempty"`
}

// ExemptUntil keeps rules off one conference, because a person said so.
type ExemptUntil struct {
	// Rule is the one rule that is kept off, or "" for all.
	Rule  string    `json:"rule,omitempty"`
	Until time.Time `json:"until"`
}

// Deadline is a moment at which a conference is judged without an event.
type Deadline struct {
	Due     time.Time `json:"due"`
	Rule    string    `json:"rule,omitempty"` // "" at the end of an exemption from all
	CallSid string    `json:"call_sid,omitempty"`
}

// compare orders deadlines as they are judged: by due, then by rule.
func (d Deadline) compare(e Deadline) int {
	return cmp.Or(d.Due.Compare(e.Due), strings.Compare(d.Rule, e.Rule), strings.Compare(d.CallSid, e.CallSid))
}

// Deadlines returns what is armed, in the order in which it will be judged.
func (s *State) Deadlines() []Deadline {
	var all []Deadline
	s.eachDeadline(func(d Deadline) { all = append(all, d) })
	slices.SortFunc(all, Deadline.compare)
	return slices.Compact(all)
}

// next returns the deadline that is judged first, if there is one.
func (s *State) next() (first Deadline, armed bool) {
	s.eachDeadline(func(d Deadline) {
		if !armed || d.compare(first) < 0 {
			first, armed = d, true
		}
	})
	return first, armed
}

// Next returns the moment of the earliest deadline, zero where none is armed.
func (s *State) Next() time.Time {
	d, _ := s.next()
	return d.Due
}

func (s *State) eachDeadline(visit func(Deadline)) {
	if s == nil {
		return
	}
	for i := range s.Stretches {
		if x := &s.Stretches[i]; !x.Due.IsZero() {
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

// empty reports whether nothing is left to remember. The conference's time is
// not worth it alone: what comes next brings its own.
func (s *State) empty() bool {
	return s == nil || len(s.Stretches)+len(s.Flips)+len(s.Ladders)+len(s.Exemptions) == 0 &&
		!s.Truncated && s.Alarm.IsZero()
}

// copy returns a state of its own, which may be changed. Lists of ids and of
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

// stretch returns the place of a rule's stretch for a subject, and whether it
// is there.
func (s *State) stretch(rule, callSid string) (at int, there bool) {
	return slices.BinarySearchFunc(s.Stretches, rule, func(x Stretch, rule string) int {
		return cmp.Or(strings.Compare(x.Rule, rule), strings.Compare(x.CallSid, callSid))
	})
}

// flip is the same for flips.
func (s *State) flip(rule, callSid string) (at int, there bool) {
	return slices.BinarySearchFunc(s.Flips, rule, func(x Flip, rule string) int {
		return cmp.Or(strings.Compare(x.Rule, rule), strings.Compare(x.CallSid, callSid))
	})
}

// armed reports whether time alone may turn a rule's condition for a subject.
func (s *State) armed(rule, callSid string) bool {
	_, there := s.flip(rule, callSid)
	return there
}

// arm sets when time alone may turn a rule's condition; zero is never.
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

// remembers reports whether anything is kept of a rule.
func (s *State) remembers(rule string) bool {
	return slices.ContainsFunc(s.Stretches, func(x Stretch) bool { return x.Rule == rule }) ||
		slices.ContainsFunc(s.Flips, func(f Flip) bool { return f.Rule == rule })
}

// roomFor reports whether a ladder can be kept as well.
func (s *State) roomFor(l Ladder) bool {
	rest := len(l.Rest)
	for _, other := range s.Ladders {
		rest += len(other.Rest)
	}
	return len(s.Ladders) < MaxLadders && rest <= MaxRest
}

// exempt reports whether a person keeps a rule off at that moment.
func (s *State) exempt(rule string, now time.Time) bool {
	return slices.ContainsFunc(s.Exemptions, func(e ExemptUntil) bool {
		return (e.Rule == "" || e.Rule == rule) && now.Before(e.Until)
	})
}
