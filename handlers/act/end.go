package act

import (
	"net/url"

	"gavel/events"
	"gavel/projections"
)

// endDeed ends a conference. It converges: Twilio may be asked twice, and one
// that has ended has ended (Twilio, Conference resource: Status=completed).
func endDeed() deed {
	d := post(events.DoEnd, url.Values{"Status": {projections.StatusCompleted}})
	d.gone, d.shows = true, sight.over
	return d
}
