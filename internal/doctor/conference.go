package doctor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// Conference is what was received about one conference of the last day.
type Conference struct {
	Sid string
	// Facts are in the order of their time.
	Facts []Observation
}

// Observation is one event.
type Observation struct {
	Kind    events.Kind
	At      time.Time
	CallSid string
	// Flags of the leg; nil if the event has none.
	Flags *Flags
	// NotReached marks the leave of a leg that was dialled and not answered.
	NotReached bool
}

// Flags are the flags of a leg in every participant event (Twilio, TwiML Voice:
// <Conference>, parameters of statusCallback).
type Flags struct {
	Muted, Hold, Coaching bool
	StartsOnEnter         bool // startConferenceOnEnter
	EndsOnExit            bool // endConferenceOnExit
}

// settled is how long a conference without live legs may be without its end:
// callbacks of the same moment arrive within seconds, retries within 15 s.
const settled = time.Minute

// silent is the longest time that a conference can last without an event: by
// default Twilio ends a leg after 4 hours (Call resource, TimeLimit).
const silent = 4 * time.Hour

// received reports whether an event of one of the kinds was received.
func (c Conference) received(kinds ...events.Kind) bool {
	return slices.ContainsFunc(c.Facts, func(f Observation) bool { return slices.Contains(kinds, f.Kind) })
}

// hasCallbacks reports whether an event of the conference's own statusCallback
// was received. Recordings and Gavel's own entries do not need one.
func (c Conference) hasCallbacks() bool {
	return slices.ContainsFunc(c.Facts, func(f Observation) bool {
		return !f.Kind.Recording() && !strings.HasPrefix(string(f.Kind), "gavel-")
	})
}

// ofLegs returns the facts with flags of legs that were in the conference: one that was dialled and
// not answered has only its leave, and is no company.
func (c Conference) ofLegs() (facts []Observation) {
	came := map[string]bool{}
	for _, f := range c.Facts {
		came[f.CallSid] = came[f.CallSid] || !f.NotReached
	}
	for _, f := range c.Facts {
		if f.Flags != nil && came[f.CallSid] {
			facts = append(facts, f)
		}
	}
	return facts
}

// legs returns the last flags of each leg that has any.
func (c Conference) legs() map[string]Flags {
	legs := map[string]Flags{}
	for _, f := range c.ofLegs() {
		if f.CallSid != "" {
			legs[f.CallSid] = *f.Flags
		}
	}
	return legs
}

// any reports whether is returns true for flags that a leg ever had.
func (c Conference) any(is func(Flags) bool) bool {
	return slices.ContainsFunc(c.ofLegs(), func(f Observation) bool { return is(*f.Flags) })
}

// over reports whether the conference must have ended: its end was received, or
// all legs left, or no event came for longer than a leg lasts.
func (c Conference) over(now time.Time) bool {
	if c.received(events.ConferenceEnd) {
		return true
	}
	quiet := now.Sub(c.last())
	return quiet > silent || quiet > settled && c.deserted()
}

func (c Conference) last() (at time.Time) {
	for _, f := range c.Facts {
		if f.At.After(at) {
			at = f.At
		}
	}
	return at
}

// deserted reports whether the conference had legs and all of them left.
func (c Conference) deserted() bool {
	here := map[string]bool{}
	for _, f := range c.ofLegs() {
		if f.CallSid != "" {
			here[f.CallSid] = f.Kind != events.ParticipantLeave
		}
	}
	return len(here) > 0 && !slices.Contains(slices.Collect(maps.Values(here)), true)
}
