package condition

import (
	"time"

	"gavel/events"
	"gavel/projections"
)

// Vars are what a condition can read. Nil is allowed everywhere: a missing
// object has empty texts, false flags and zero times, and has() is false for these.
type Vars struct {
	// Conference is the record after the event.
	Conference *projections.Conference
	// Before is the record before the event.
	Before *projections.Conference
	// Event is the event that is judged; nil at a deadline.
	Event *events.Event
	// Participant is the subject of a rule for each participant; in other rules
	// it is the participant that Event names, if any.
	Participant *projections.Participant
	// Now is the conference's own time.
	Now time.Time
	// Account is the AccountSid.
	Account string
}
