package act

import (
	"net/http"

	"gavel/events"
	"gavel/rules"
)

// kickDeed takes a participant out. It converges: one that is not there, or
// whose conference has ended, is out (Twilio, Participant resource: DELETE).
func kickDeed(d *rules.Decision) deed {
	return deed{
		do: events.DoKick, method: http.MethodDelete, gone: true,
		shows: func(s sight) bool { return s.over() || s.leg(d.CallSid) == nil },
	}
}
