package condition

import (
	"time"

	"gavel/events"
	"gavel/projections"
)

// Vars are what a condition can read. Nil is allowed everywhere: what is not
// there has empty texts, false flags and zero times, and has() says so.
type Vars struct {
	// Conference is the record after the event.
	Conference *projections.Conference
	// Before is the record before it.
	Before *projections.Conference
	// Event is the event that is judged. Nil at a deadline.
	Event *events.Event
	// Participant is the subject of a rule that is for each participant; in
	// other rules the one that Event names, if any.
	Participant *projections.Participant
	// Now is the conference's own time.
	Now time.Time
	// Account is the AccountSid.
	Account string
}
