package doctor

import (
	"strings"
	"time"

	"gavel/events"
)

// Conference is what was told about one conference of the last day.
type Conference struct {
	Sid string
	// Facts in the order in which they happened.
	Facts []Observation
}

// Observation is one event.
type Observation struct {
	Kind    events.Kind
	At      time.Time
	CallSid string
	// Flags of the leg; nil where the event carries none.
	Flags *Flags
}

// Flags are those of a leg that every participant event carries (Twilio, TwiML
// Voice: <Conference>, parameters of statusCallback).
type Flags struct {
	Muted, Hold, Coaching bool
	StartsOnEnter         bool // startConferenceOnEnter
	EndsOnExit            bool // endConferenceOnExit
}

// settled is how long a conference that nobody is in any more may be without
// its end: callbacks of one moment come within seconds, retries within 15 s.
const settled = time.Minute

// silent is how long a conference goes on at most without a word: Twilio ends a
// leg after 4 hours unless told otherwise (Call resource, TimeLimit).
const silent = 4 * time.Hour

// told reports whether an event of one of the kinds was told.
func (c Conference) told(kinds ...events.Kind) bool {
	for _, f := range c.Facts {
		for _, k := range kinds {
			if f.Kind == k {
				return true
			}
		}
	}
	return false
}

// called reports whether the conference's own callbacks told anything: what
// recordings and Gavel itself tell needs no statusCallback.
func (c Conference) called() bool {
	for _, f := range c.Facts {
		if !f.Kind.Recording() && !strings.HasPrefix(string(f.Kind), "gavel-") {
			return true
		}
	}
	return false
}

// legs are the last flags of each leg that told any.
func (c Conference) legs() map[string]Flags {
	legs := map[string]Flags{}
	for _, f := range c.Facts {
		if f.Flags != nil && f.CallSid != "" {
			legs[f.CallSid] = *f.Flags
		}
	}
	return legs
}

// any reports whether a leg ever had flags that is wants.
func (c Conference) any(is func(Flags) bool) bool {
	for _, f := range c.Facts {
		if f.Flags != nil && is(*f.Flags) {
			return true
		}
	}
	return false
}

// over reports whether it must have ended: so it was told, or everybody left,
// or nothing was heard for longer than a leg lasts.
func (c Conference) over(now time.Time) bool {
	if c.told(events.ConferenceEnd) {
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

// deserted reports whether legs were told of and all of them left.
func (c Conference) deserted() bool {
	here := map[string]bool{}
	for _, f := range c.Facts {
		if f.CallSid != "" && f.Flags != nil {
			here[f.CallSid] = f.Kind != events.ParticipantLeave
		}
	}
	for _, is := range here {
		if is {
			return false
		}
	}
	return len(here) > 0
}
